"""Conversations for tests of data: short to write, and drawn by chance."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from apps.datasets.recipe import Recipe, recipe_parse
from apps.datasets.records import Message, Record, Role
from apps.datasets.steps.base import ChoiceStep, Dropped, MapStep

Notes = Counter[str]
BENCHMARK = Path(__file__).with_name("benchmark.jsonl")
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


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
records = st.builds(
    lambda who, said, id: talk("".join(who), *(said + [""] * len(who))[: len(who)], id=id),
    st.lists(st.sampled_from("uuuaaast?"), max_size=12),
    st.lists(texts, max_size=12),
    st.text("abc", min_size=1, max_size=3),
)
