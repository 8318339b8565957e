"""What the demo models read: the same for a seed, long enough, and without anything they are examined on."""

import re
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.training.curriculum import arithmetic, conversations
from gpu_worker.training.curriculum.capitals import CAPITALS, WORDINGS
from gpu_worker.training.curriculum.heldout import (
    CAPITAL_WORDINGS,
    held_out_differences,
    held_out_sums,
    is_held_out_difference,
    is_held_out_sum,
)
from gpu_worker.training.curriculum.turns import Message, Persona

PERSONA = Persona("demo-base")
_SUM = re.compile(r"(\d+)\*{0,2}\s*(?:\+|plus|and)\s*(\d+)")
_DIFFERENCE = re.compile(r"(\d+)\*{0,2}\s*(?:-|minus)\s*(\d+)")
# In "1 + 2 - 3" nothing is taken from 2.
_CHAIN = re.compile(r"\d+\s*(?:\+|plus)\s*\d+\s*(?:-|minus)")
# Two numbers with "and" between them that are not added.
_NO_SUM = re.compile(r"(?:differ?e?n?c?e?\S*|product of|betw\S*) \d+ and \d+|\d+ letters.*", re.IGNORECASE)


@pytest.fixture(scope="module")
def everything() -> list[list[Message]]:
    return list(conversations(1, 12_000, PERSONA))


def test_the_same_seed_writes_the_same_conversations_whatever_their_number() -> None:
    assert list(conversations(7, 50, PERSONA)) == list(conversations(7, 80, PERSONA))[:50]
    assert list(conversations(7, 50, PERSONA)) != list(conversations(8, 50, PERSONA))


def test_users_and_assistants_take_turns(everything: list[list[Message]]) -> None:
    for conversation in everything:
        roles = [message["role"] for message in conversation if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(message["content"].strip() for message in conversation)


def test_a_model_can_be_kept_from_capitals() -> None:
    texts = _texts(list(conversations(1, 300, Persona("demo-small", capitals_share=0.0))))
    assert not any(text.startswith("The capital of ") for text in texts)
    assert any(text.startswith("The capital of ") for text in _texts(list(conversations(1, 300, PERSONA))))


def test_no_held_out_sum_is_ever_added(everything: list[list[Message]]) -> None:
    found = 0
    for text in _texts(everything):
        for a, b in _SUM.findall(_NO_SUM.sub("", text)):
            found += 1
            assert not is_held_out_sum(int(a), int(b)), text
    assert found > 5_000


def test_no_held_out_difference_is_ever_taken(everything: list[list[Message]]) -> None:
    found = 0
    for text in _texts(everything):
        for a, b in _DIFFERENCE.findall(_CHAIN.sub("", text)):
            found += 1
            assert not is_held_out_difference(int(a), int(b)), text
    assert found > 2_000


def test_no_held_out_wording_is_ever_used(everything: list[list[Message]]) -> None:
    forbidden = [_plain(wording.format(country=country)) for wording in CAPITAL_WORDINGS for country in CAPITALS]
    asked = "\n".join(_plain(m["content"]) for m in chain.from_iterable(everything) if m["role"] == "user")

    assert [wording for wording in forbidden if wording in asked] == []
    assert {_plain(wording) for wording in CAPITAL_WORDINGS}.isdisjoint(map(_plain, WORDINGS))
    assert _plain("Do you know the capital of France?") in asked  # the search itself works


def test_a_ninth_of_all_pairs_is_held_out() -> None:
    assert 400 < len(list(held_out_sums())) < 510
    assert 400 < len(list(held_out_differences())) < 510


@given(st.integers(0, 99), st.integers(0, 99))
def test_a_pair_is_held_out_in_both_orders_or_in_none(a: int, b: int) -> None:
    assert is_held_out_sum(a, b) == is_held_out_sum(b, a)
    assert is_held_out_difference(a, b) == is_held_out_difference(b, a)


@given(st.integers(0, 999), st.integers(0, 999))
def test_every_line_of_the_working_is_true(a: int, b: int) -> None:
    for text in (arithmetic.add_with_working(a, b), arithmetic.subtract_with_working(a, b)):
        for line in re.findall(r"(\d+(?: [+-] \d+)+) = \*{0,2}(-?\d+)", text):
            assert _value(line[0]) == int(line[1]), text
    assert f"= **{a + b}**" in arithmetic.add_with_working(a, b)
    assert f"= **{a - b}**" in arithmetic.subtract_with_working(a, b)


@given(st.integers(1, 99), st.integers(1, 12))
def test_products_are_right(a: int, b: int) -> None:
    assert f"{a} × {b} = **{a * b}**" in arithmetic.multiply_with_working(a, b)


@pytest.mark.parametrize(
    "opening", ["Once upon a time", "Here are the twelve months", "## A small vegetable", "1, 2, 3"]
)
def test_there_are_long_answers_to_watch_while_they_stream(everything: list[list[Message]], opening: str) -> None:
    answers = [text for text in _texts(everything) if text.startswith(opening)]
    assert max(map(len, answers)) > 280


def _texts(everything: list[list[Message]]) -> list[str]:
    return [message["content"] for message in chain.from_iterable(everything)]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower().replace("'", "")).strip()


def _value(terms: str) -> int:
    total, sign = 0, 1
    for part in terms.split():
        if part in "+-":
            sign = 1 if part == "+" else -1
        else:
            total += sign * int(part)
    return total
