"""What holds of each step for any conversations: every row is accounted for, and nothing is lost on the way."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.children import children_close
from apps.datasets.chunks import FromChunk, Task, task_run
from apps.datasets.records import Message, Record, Role, dumped, loaded
from apps.datasets.report import StepReport
from apps.datasets.steps.base import Dropped, MapStep
from apps.datasets.steps.html import HtmlToMarkdown, PageRemains
from apps.datasets.steps.splitting import SplitLong
from apps.datasets.steps.turns import EmptyMessages, SingleRound, TakeTurns, TrimTurns, alternates
from apps.datasets.steps.words import ReplaceText
from apps.datasets.tokens import counter_of
from tests.conftest import DEMO_BASE
from tests.datasets.support import Notes, applied, records, roles, talk
from tests.datasets.test_steps import CHOICES, MAPS

SPLIT = SplitLong(tokenizer=str(DEMO_BASE), max_tokens=30)


@pytest.fixture(scope="module", autouse=True)
def counters() -> Iterator[None]:
    yield
    children_close()


def said(found: list[Record]) -> list[tuple[str, str]]:
    """By users and models, in all of them."""
    return [(m.role, m.content) for one in found for m in one.messages if m.role != Role.SYSTEM]


def outcomes(step: MapStep, found: list[Record]) -> list[Record]:
    kept: list[Record] = []
    for record in found:
        outcome = applied(step, record)
        kept += [] if isinstance(outcome, Dropped) else outcome if isinstance(outcome, list) else [outcome]
    return kept


# --- All of them ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(found=st.lists(records, max_size=8))
def test_no_row_is_unaccounted_for_at_any_step(tmp_path_factory: pytest.TempPathFactory, found: list[Record]) -> None:
    folder = tmp_path_factory.getbasetemp()
    before = folder / "before.rows"
    before.write_bytes(b"".join(dumped(record) + b"\n" for record in found))
    for step in (*MAPS, SPLIT):
        result = task_run(Task(FromChunk(before, frozenset()), (step,), tuple(CHOICES), folder / "after.rows"))
        (report,) = result.reports
        assert report.n_in == len(found)
        assert accounted(report)
        assert result.n_rows == report.n_out == len(rows_of(result.path))
        assert all(len(keys) == result.n_rows for keys in result.keys)


def accounted(report: StepReport) -> bool:
    return report.n_in + report.n_made == report.n_out + report.dropped.total()


def rows_of(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return [loaded(line) for line in file]


@settings(deadline=None)
@given(records)
def test_no_step_but_those_of_text_changes_what_is_said(record: Record) -> None:
    changing = {"take_turns", "replace_text", "personal_data", "html_to_markdown", "page_remains"}
    before = [(m.role, m.content) for m in record.messages]
    for step in MAPS:
        if step.name not in changing:
            for kept in outcomes(step, [deepcopy(record)]):
                after = [(m.role, m.content) for m in kept.messages]
                rest = iter(before)
                assert all(message in rest for message in after), step


# --- Turns ------------------------------------------------------------------------------------------------------------


@given(records)
def test_after_the_steps_of_turns_speakers_alternate_and_an_answer_is_last(record: Record) -> None:
    for kept in outcomes(
        SingleRound(), outcomes(EmptyMessages(), outcomes(TakeTurns(), outcomes(TrimTurns(), [record])))
    ):
        assert alternates(kept.messages)
        assert roles(kept).lstrip("s").startswith("u")
        assert roles(kept).endswith("a")
        assert all(message.content.strip() for message in kept.messages if message.role != Role.SYSTEM)


@given(records)
def test_joined_neighbours_say_the_same_in_the_same_order(record: Record) -> None:
    before = deepcopy(record)
    outcome = applied(TakeTurns(merge=True), record)
    if isinstance(outcome, Record):
        runs = groupby(before.messages, key=lambda message: message.role)
        joined = [
            (role, "\n\n".join(m.content for m in run)) for role, run in runs if role in (Role.USER, Role.ASSISTANT)
        ]
        assert [(m.role, m.content) for m in outcome.messages if m.role in (Role.USER, Role.ASSISTANT)] == joined


# --- Splitting --------------------------------------------------------------------------------------------------------


talks = st.builds(
    lambda head, rounds: talk(
        "s" * head + "ua" * len(rounds), *["Be brief."] * head, *[t for two in rounds for t in two]
    ),
    st.integers(0, 1),
    st.lists(st.tuples(*[st.integers(1, 12).map(lambda n: "word " * n)] * 2), min_size=1, max_size=8),
)


@settings(deadline=None)
@given(talks)
def test_what_is_split_is_joined_again_to_the_same(record: Record) -> None:
    before = said([deepcopy(record)])
    parts = outcomes(SPLIT, [record])
    assert said(parts) == before
    assert all(alternates(part.messages) and roles(part).endswith("a") for part in parts)
    assert len({part.id for part in parts}) == len(parts)


@settings(deadline=None)
@given(talks)
def test_to_split_twice_is_to_split_once(record: Record) -> None:
    once = outcomes(SPLIT, [record])
    texts = [[m.content for m in part.messages] for part in once]
    assert [[m.content for m in part.messages] for part in outcomes(SPLIT, deepcopy(once))] == texts


@settings(deadline=None)
@given(talks)
def test_each_part_fits_or_is_one_round_that_is_counted(record: Record) -> None:
    notes = Notes()
    made: Any = SPLIT.apply(record, notes)
    parts: list[Record] = made if isinstance(made, list) else [made]
    n_long = 0
    for part in parts:
        if n_tokens(part) > SPLIT.max_tokens:
            n_long += 1
            assert roles(part).lstrip("s") == "ua"
    assert notes["round longer than the limit"] == n_long


def n_tokens(part: Record) -> int:
    counts = counter_of(SPLIT.tokenizer).count([message.content for message in part.messages])
    return sum(counts) + SPLIT.overhead * len(counts)


# --- Text -------------------------------------------------------------------------------------------------------------

TAGS = ("p", "b", "em", "code", "li", "ul", "ol", "blockquote", "h2", "div", "span", "td", "table", "pre")
html = st.recursive(
    st.text("ab <>&_*#1.\n", max_size=8).map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;")),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", st.sampled_from(TAGS), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(html)
def test_pages_become_text_once_and_all_words_stay(page: str) -> None:
    record = applied(HtmlToMarkdown(), talk("ua", "Hi", f"<p>{page}</p>"))
    if isinstance(record, Record):
        once = record.messages[1].content
        again = applied(HtmlToMarkdown(), deepcopy(record))
        assert again.messages[1].content == once
        words = html_text(page)
        assert Counter(letter for letter in once if letter in "ab") == Counter(words)


def html_text(page: str) -> list[str]:
    """Its letters, without those of tags and entities."""
    return re.findall(r"[ab]", re.sub(r"<[^>]*>|&\w+;", "", page))


@given(st.text("Copy 1/23chars words.\n", max_size=40))
def test_the_words_of_a_page_are_gone_after_one_time(text: str) -> None:
    record = talk("ua", "Hi", text)
    once = applied(PageRemains(), record)
    if isinstance(once, Record):
        before = once.messages[1].content
        assert applied(PageRemains(), deepcopy(once)).messages[1].content == before


@given(st.text("</s>|<unk>", max_size=30))
def test_no_control_token_is_left(text: str) -> None:
    tokens = ["</s>", "<s>", "<unk>"]
    record = applied(ReplaceText(control_tokens=tokens), Record("1", [Message(Role.USER, text)]))
    assert not any(token in record.messages[0].content for token in tokens)
