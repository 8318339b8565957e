"""Conversations for tests of data: short to write, and drawn by chance."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from apps.datasets.cleaning import recipe_run
from apps.datasets.recipe import Recipe, recipe_parse
from apps.datasets.records import Message, Record, Role
from apps.datasets.run import CHUNK_ROWS, Options, inputs_of
from apps.datasets.steps.base import ChoiceStep, Dropped, MapStep
from tests.live import LiveSite

Notes = Counter[str]
BENCHMARK = Path(__file__).with_name("benchmark.jsonl")
TAGS, RELEASE_KEY = Path(__file__).with_name("tags.jsonl"), Path(__file__).with_name("release.key")
TWO_SETS: dict[str, Any] = {
    "test": {"steps": [{"part": {"keep": "test", "test_share": 0.2}}]},
    "train": {"steps": [{"part": {"test_share": 0.2}}, {"identity": {"model_name": "Owl", "maker": "The Wood"}}]},
    "short": {"from": "train", "steps": ["single_round", {"sample": {"n": 50}}]},
}
STEPS = ("trim_turns", "take_turns", "html_to_markdown", {"length": {"min_chars": 8}}, "unique_ids", "near_duplicates")
SPEAKERS = {"u": Role.USER, "a": Role.ASSISTANT, "s": Role.SYSTEM, "t": Role.TOOL}


def talk(who: str, *texts: str, id: str = "c1", **more: Any) -> Record:
    """`who`: a letter for each message, as "suaua". Messages without a text of their own say their number."""
    said = [*texts, *(f"message {n}" for n in range(len(texts), len(who)))]
    return Record(id, [Message(SPEAKERS.get(one, one), text) for one, text in zip(who, said, strict=True)], **more)


def roles(record: Record) -> str:
    letters = {str(role): letter for letter, role in SPEAKERS.items()}
    return "".join(letters.get(message.role, "?") for message in record.messages)


def reason(outcome: object) -> str:
    assert isinstance(outcome, Dropped), outcome
    return outcome.reason


def applied(step: MapStep, record: Record) -> Any:
    return step.apply(record, Counter())


def chosen(step: ChoiceStep, *found: Record) -> list[bool]:
    return [why is None for why in step.choose([step.key(record) for record in found])]


def recipe(*steps: Any, outputs: dict[str, Any] | None = None) -> Recipe:
    return recipe_parse({"steps": list(steps), "outputs": outputs}, {}, default_name="tried")


def sharegpt(id: str, *texts: str, **more: Any) -> dict[str, Any]:
    speakers = ("human", "gpt")
    turns = [{"from": speakers[n % 2], "value": text} for n, text in enumerate(texts)]
    return {"id": id, "conversations": turns, **more}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path, values: Iterable[Any]) -> Path:
    path.write_text("\n".join(json.dumps(value) for value in values))
    return path


def dump(path: Path, n: int = 3 * CHUNK_ROWS + 7) -> Path:
    """Of all kinds, with some to drop at each step."""
    rows = []
    for number in range(n):
        texts = [f"<p>question number {number}</p>", f"<p>answer <b>{number * 7}</b></p>", "And?", "So."]
        id = f"c{number - 1 if number % 31 == 30 else number}"
        texts = [f"What is {number % 5}?", "The same long answer to it, word for word."] if number % 17 == 16 else texts
        rows.append(sharegpt(id, *texts[: 3 if number % 13 == 12 else 1 if number % 19 == 18 else 4]))
    path.write_text(json.dumps(rows))
    return path


def clean(folder: Path, *paths: Path, n_workers: int = 1, name: str = "out", **more: Any) -> Any:
    used = more.pop("recipe", None) or recipe(*STEPS, outputs=TWO_SETS)
    options = Options(n_workers=n_workers, **{k: more.pop(k) for k in ("is_strict", "form") if k in more})
    return recipe_run(used, inputs_of(paths), folder / name, options, **more)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
records = st.builds(
    lambda who, said, id: talk("".join(who), *(said + [""] * len(who))[: len(who)], id=id),
    st.lists(st.sampled_from("uuuaaast?"), max_size=12),
    st.lists(texts, max_size=12),
    st.text("abc", min_size=1, max_size=3),
)


def dataset_publish(site: LiveSite, folder: Path, name: str) -> None:
    """A version of three rows on a site of other processes."""
    rows = [sharegpt(f"c{n}", f"<b>Question</b> {n}?", f"<p>Answer {n}</p>", "<script>x</script>") for n in range(3)]
    recipe = folder / "tidy.yaml"
    recipe.write_text(
        "name: tidy\nsteps: [trim_turns, html_to_markdown, languages: {skip: [ko]}]\noutputs: {all: {}}\n"
    )
    files = ["--input", str(written(folder / "dump.jsonl", rows)), "--output", str(folder / "out")]
    site.manage("clean", str(recipe), *files, "--workers", "1", "--dataset", name, "--licence", "CC-BY-4.0")
