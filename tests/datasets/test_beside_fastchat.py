"""The same dump through fschat's own data scripts and through ours: equal, but for the differences listed here.

Each difference is told in docs/data.md with why ours is as it is.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.datasets.cleaning import recipe_run
from apps.datasets.formats.writing import Form
from apps.datasets.recipe import recipe_read
from apps.datasets.run import Options, inputs_of
from apps.datasets.steps.words import taken_apart
from apps.datasets.tokens import TokenCounter
from benchmarks.sharegpt_dump import write_dump
from tests.conftest import DEMO_BASE
from tests.datasets.support import recipe, sharegpt
from tests.live import ROOT

ORACLE = ROOT / ".cache" / "oracles" / "fschat-0.2.36"
N_ROWS = 150
MAX_TOKENS = 400
Row = dict[str, Any]

PAGE = (
    "<h1>Top</h1><p>one</p><h2>Next</h2><p>two</p><h3>Third</h3><blockquote><p>said</p></blockquote>"
    '<p>see <a href="https://example.org/a_b" target="_new">the page</a><br>and <del>not</del> more</p><hr><p>end</p>'
)
CODE = "<pre><div><div><span>python</span><button>Copy code</button></div><div><code>{}</code></div></div></pre>"
TWO_ANSWERS = "begins with two answers"
NOTICE = "Too many requests in 1 hour. Try again later."
BY_HAND = [
    sharegpt("page", "Show me a page of everything", PAGE),
    sharegpt("script", "What is on this page?", "<p>before</p><script>alert(1)</script><p>after</p>"),
    sharegpt("code", "Write code with gaps, please", CODE.format("a = 1\n\n\nb = 2\n")),
    sharegpt("control", "Which tokens end a text here?", "<p>It is &lt;|end|&gt; here, as you see.</p>"),
    sharegpt("digits", "How many grains are there?", "<p>About 1000000000 of them.</p>"),
    sharegpt("list", "What has to be done first?", "So:\n1. one thing\n1. another thing"),
    sharegpt("models", "Which model is this one, I wonder?", "<p>It is one of the newer ones.</p>", model="GPT-4"),
    {
        "id": TWO_ANSWERS,
        "conversations": [
            {"from": "gpt", "value": "<p>Hello.</p>"},
            {"from": "gpt", "value": "<p>Ask me.</p>"},
            *sharegpt("", "What is there to ask you?", "<p>Whatever you want.</p>")["conversations"],
        ],
    },
]
CLEANING: list[Any] = [
    "trim_turns", "take_turns", {"blocked_words": {"words": ["openai", "chatgpt"], "inside": True}}, "html_to_markdown",
    "page_remains", "empty_messages", {"length": {"min_chars": 16}}, {"without_field": {"names": ["plugins"]}},
    "unique_ids", "unique_openings",
]  # fmt: skip


class Both:
    """What fschat made of the dump, by the name of the file, and what ours makes of the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.dump = folder / "dump.json"
        write_dump(self.dump, N_ROWS)
        self.dump.write_text(json.dumps(json.loads(self.dump.read_text()) + BY_HAND))
        command = [sys.executable, str(Path(__file__).with_name("fschat_cleaning.py"))]
        done = subprocess.run(
            [*command, str(self.dump), str(DEMO_BASE), str(folder), str(MAX_TOKENS)],
            env={"PYTHONPATH": str(ORACLE), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout

    def theirs(self, name: str) -> list[Row]:
        rows: list[Row] = json.loads((self._folder / f"{name}.json").read_text())
        return rows

    def ours(self, source: str, *steps: Any) -> list[Row]:
        """Of the file that fschat made under this name, so that each step is compared alone."""
        path = self.dump if source == "dump" else self._folder / f"{source}.json"
        output = self._folder / "ours" / str(len(list(self._folder.glob("ours/*"))))
        made = recipe_run(recipe(*steps), inputs_of([path]), output, Options(form=Form.SHAREGPT))
        return [json.loads(line) for line in made.sets[0].path.read_text().splitlines()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    assert (ORACLE / "markdownify").is_dir(), "fschat or what it needs is missing: run `make oracles`"
    return Both(tmp_path_factory.mktemp("beside-fastchat"))


def ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]


def turns(row: Row) -> list[tuple[str, str]]:
    return [(turn["from"], turn["value"]) for turn in row["conversations"]]


# --- clean_sharegpt ---------------------------------------------------------------------------------------------------


def test_cleaning_keeps_the_same_conversations(both: Both) -> None:
    raw = {row["id"]: row for row in json.loads(both.dump.read_text())}
    ours, theirs = set(ids(both.ours("dump", *CLEANING))), set(ids(both.theirs("clean")))
    notices = {id for id, row in raw.items() if any(value == NOTICE for _, value in turns(row))}
    assert ours - theirs == {TWO_ANSWERS}
    assert theirs - ours == notices & theirs != set()


def test_the_recipe_cleans_by_these_steps() -> None:
    made = recipe_read(ROOT / "configs" / "recipes" / "prepare_all.yaml", {"tokenizer": str(DEMO_BASE)})
    assert made.steps[: len(CLEANING)] == recipe(*CLEANING).steps


DIFFERENCES: dict[str, Callable[[str], str]] = {
    "characters of plain text escaped": lambda text: re.sub(r"\\([*_])", r"\1", text),
    "the mark of a list": lambda text: re.sub(r"(?m)^(\s*|x\d.*\})[*+] ", r"\1- ", text),
    "the mark of a list right after another": lambda text: re.sub(r"(?m)^(\s*\d+)\) ", r"\1. ", text),
    "formulas twice, or as TeX between dollars": lambda text: re.sub(r"\bx(\d)(?=x\^\1 = )", "", text).replace(
        "$$", ""
    ),
    "headings underlined": lambda text: re.sub(
        r"(?m)^(.+)\n(===|---)=*-*$", lambda found: {"=": "# ", "-": "## "}[found[2][0]] + found[1], text
    ),
    "empty lines of a quotation": lambda text: re.sub(r"(?m)^> $", "", text),
    "what a script of the page says": lambda text: text.replace("alert(1)", ""),
    "empty lines and indents": lambda text: "".join(text.split()),
}
"""What has to be made equal before texts are."""


def pairs(both: Both) -> list[tuple[str, str]]:
    ours = {row["id"]: turns(row) for row in both.ours("dump", *CLEANING)}
    found = []
    for row in both.theirs("clean"):
        if row["id"] in ours:
            for (theirs_from, theirs), (ours_from, text) in zip(turns(row), ours[row["id"]], strict=True):
                assert theirs_from == ours_from
                found.append((theirs, text))
    assert len(found) > 4 * N_ROWS
    return found


def canonical(text: str, without: str = "") -> str:
    for name, made_equal in DIFFERENCES.items():
        if name != without:
            text = made_equal(text)
    return text


def test_pages_become_the_same_text_but_for_the_differences_listed(both: Both) -> None:
    for theirs, ours in pairs(both):
        assert canonical(theirs) == canonical(ours)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_listed_difference_is_one(both: Both, name: str) -> None:
    assert any(canonical(theirs, name) != canonical(ours, name) for theirs, ours in pairs(both))


def test_code_is_the_same_to_the_character_but_for_empty_lines_that_fastchat_takes_out(both: Both) -> None:
    fenced = re.compile(r"```.*?```", re.DOTALL)
    found = [(fenced.findall(theirs), fenced.findall(ours)) for theirs, ours in pairs(both)]
    assert sum(len(ours) for _, ours in found) > N_ROWS
    differ = [one for one in found if one[0] != one[1]]
    assert differ == [(["```python\na = 1\nb = 2\n```"], ["```python\na = 1\n\n\nb = 2\n```"])]


# --- The other scripts, each on what fschat made before it ------------------------------------------------------------


def test_runs_of_a_digit_drop_the_same_conversations(both: Both) -> None:
    assert ids(both.ours("clean", "digit_runs")) == ids(both.theirs("runs")) != ids(both.theirs("clean"))


def test_languages_are_told_as_fastchat_tells_them(both: Both) -> None:
    theirs: dict[str, str] = json.loads((both.dump.parent / "languages.json").read_text())
    ours = {row["id"]: row["language"] for row in both.ours("clean", {"languages": {"skip": ["nn"]}})}
    assert set(Counter(theirs.values())) == {"en", "de", "fr", "ru", "zh", "ko"}
    assert ours == theirs


def test_conversations_are_split_at_the_same_places_and_none_of_their_rounds_is_lost(both: Both) -> None:
    clean = {row["id"]: turns(row) for row in both.theirs("clean")}
    step = {"split_long": {"tokenizer": str(DEMO_BASE), "max_tokens": MAX_TOKENS}}
    ours = {(row["id"] if row["id"] not in clean else f"{row['id']}_0"): turns(row) for row in both.ours("clean", step)}
    theirs = {row["id"]: turns(row) for row in both.theirs("split")}
    assert {id: ours[id] for id in theirs} == theirs
    joined: dict[str, list[tuple[str, str]]] = {}
    for id, part in ours.items():
        joined.setdefault(id.rsplit("_", 1)[0], []).extend(part)
    assert joined == clean
    n_lost = sum(map(len, clean.values())) - sum(map(len, theirs.values()))
    assert n_lost > N_ROWS, "FastChat loses rounds that are too long, and the last if it does not fit"


def test_what_only_fastchat_loses_is_what_fits_nowhere_or_stands_last(both: Both) -> None:
    step = {"split_long": {"tokenizer": str(DEMO_BASE), "max_tokens": MAX_TOKENS, "drop_long": True}}
    ours = {row["id"]: turns(row) for row in both.ours("clean", step)}
    theirs = {row["id"] for row in both.theirs("split")}
    lasts = {id: turns(row)[-1] for id, row in {row["id"]: row for row in both.theirs("clean")}.items()}
    for id in set(ours) - theirs - set(lasts):
        assert ours[id][-1] == lasts[id.rsplit("_", 1)[0]]


def test_lists_that_begin_again_drop_the_same_conversations(both: Both) -> None:
    assert ids(both.ours("split", "restarting_lists")) == ids(both.theirs("lists")) != ids(both.theirs("split"))


def test_only_gpt4_is_kept_and_besides_what_fastchat_itself_made_nameless(both: Both) -> None:
    step = {"keep_models": {"names": ["gpt-4"], "unknown": True}}
    ours, theirs = both.ours("lists", step), both.theirs("gpt4")
    assert {row["model"] for row in theirs} == {"gpt4"}
    assert [row["id"] for row in ours if row.get("model") == "gpt4"] == ids(theirs)
    # Its split writes an empty name where there was none, which its filter then takes for another model.
    assert {row["model"] for row in ours if "model" in row} == {"gpt4", "GPT-4"}
    assert any("model" not in row for row in ours)


def test_a_single_round_is_the_same(both: Both) -> None:
    assert list(map(turns, both.ours("gpt4", "single_round"))) == list(map(turns, both.theirs("single")))


def test_control_tokens_are_replaced_the_same_way(both: Both) -> None:
    config = json.loads((DEMO_BASE / "tokenizer_config.json").read_text())
    tokens = [config[name] for name in ("bos_token", "eos_token", "pad_token", "unk_token") if config.get(name)]
    ours = both.ours("clean", {"replace_text": {"control_tokens": sorted(set(tokens))}})
    assert list(map(turns, ours)) == list(map(turns, both.theirs("replaced"))) != list(map(turns, both.theirs("clean")))
    assert any(taken_apart(config["eos_token"]) in value for row in ours for _, value in turns(row))


def test_tokens_are_counted_alike(both: Both) -> None:
    counter = TokenCounter(str(DEMO_BASE))
    try:
        counts = [counter.count([value for _, value in turns(row)]) for row in both.theirs("split")]
    finally:
        counter.close()
    asked, answered = ([n for row in counts for n in row[side::2]] for side in (0, 1))
    n_turns = sum(map(len, counts)) / 2 / len(counts)
    told = [
        f"#sequence: {len(counts) / 1e3:.2f} K",
        f"#tokens: {(sum(asked) + sum(answered)) / 1e6:.2f} M",
        f"avg. turns: {n_turns:.2f}",
        f"avg. prompt length: {sum(asked) / len(asked):.2f}",
        f"avg. response length: {sum(answered) / len(answered):.2f}",
        f"L0 - 1024: {sum(sum(row) < 1024 for row in counts)}",
        f"L1024 - 2048: {sum(1024 <= sum(row) < 2048 for row in counts)}",
    ]
    assert [line for line in told if line not in both.printed.splitlines()] == []


def test_identity_has_fastchats_three_families(both: Both) -> None:
    questions = Counter(row["conversations"][0]["value"] for row in both.theirs("hardcoded"))
    ours = both.ours("gpt4", {"identity": {"model_name": "Vicuna", "maker": "LMSYS"}})[len(both.theirs("gpt4")) :]
    by_question = Counter(turns(row)[0][1] for row in ours)
    assert sorted(by_question.values()) == sorted(questions.values())
    assert sum(by_question.values()) == 937
