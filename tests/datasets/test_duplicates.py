"""Conversations that were there before, or nearly: which go, which stay, and how surely."""

import tracemalloc
from base64 import b64decode
from copy import deepcopy
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.nearness import near_earlier
from apps.datasets.steps.duplicates import NearDuplicates, Seen
from apps.datasets.wording import words_of
from tests.datasets.support import chosen, talk


def test_what_is_nearly_the_same_goes_and_what_is_only_alike_stays() -> None:
    words = [f"word{n}" for n in range(200)]
    first = talk("ua", "Hi", " ".join(words))
    near = talk("ua", "Hi", " ".join([*words[:-2], "other", "end"]))
    other = talk("ua", "Hi", " ".join(words[::-1]))
    assert chosen(NearDuplicates(), first, near, other, deepcopy(first)) == [True, False, True, False]


def overlapping(random: Random, n_words: int, n_other: int) -> tuple[str, str]:
    """Two texts, of which the second has other words in `n_other` places in a row, so that the overlap is known."""
    words = [f"w{random.randrange(10**9)}" for _ in range(n_words)]
    return " ".join(words), " ".join(
        [*words[: n_words - n_other], *(f"z{random.randrange(10**9)}" for _ in range(n_other))]
    )


@pytest.mark.parametrize(
    ("n_other", "overlap", "least", "most"),
    [(40, 0.66, 0, 0.01), (34, 0.7, 0, 0.02), (22, 0.8, 0.3, 0.7), (10, 0.9, 0.99, 1)],
)
def test_of_those_that_overlap_less_nearly_none_go_and_of_those_that_overlap_more_nearly_all(
    n_other: int, overlap: float, least: float, most: float
) -> None:
    random, n_gone = Random(1), 0
    for _ in range(300):
        first, second = overlapping(random, 200, n_other)
        n_shared, n_all = 200 - 4 - n_other, 200 - 4
        assert n_shared / (2 * n_all - n_shared) == pytest.approx(overlap, abs=0.01)
        n_gone += chosen(NearDuplicates(), talk("a", first), talk("a", second)) == [True, False]
    assert least <= n_gone / 300 <= most


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_keys_are_as_alike_as_the_sets_of_five_words_in_a_row_overlap(seed: int, n_words: int, changed: float) -> None:
    random = Random(seed)
    first = random.choices([f"w{n}" for n in range(50)], k=n_words)
    second = [random.choice(["other", "word", "的"]) if random.random() < changed else word for word in first]
    one, other = (
        {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))}
        for words in (first, words_of(" ".join(second)))
    )
    step = NearDuplicates()
    keys = [
        np.frombuffer(b64decode(step.key(talk("ua", f"{words[0].upper()}?", " - ".join(words[1:])))), dtype="<u2")
        for words in (first, second)
    ]
    # Six times the standard error.
    assert (keys[0] == keys[1]).mean() == pytest.approx(len(one & other) / len(one | other), abs=0.24)


def test_two_with_the_same_instructions_and_little_said_are_not_the_same() -> None:
    system = " ".join(f"rule{n}" for n in range(300))
    asked = [
        talk("sua", system, f"Where is the {thing}?", f"In the {thing}room.") for thing in ("bath", "bed", "living")
    ]
    assert chosen(NearDuplicates(), *asked) == [True, True, True]


@pytest.mark.parametrize("sign", ["。", ""])
def test_languages_without_blanks_are_compared_by_their_letters(sign: str) -> None:
    random = Random(2)
    letters = [chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(300)]
    text, near = "".join(letters), "".join([*letters[:297], *"一二三"])
    assert chosen(NearDuplicates(), talk("a", text + sign), talk("a", near + sign)) == [True, False]


def test_signs_alone_are_the_same_only_if_they_are() -> None:
    assert chosen(NearDuplicates(), talk("ua", "?", ":-)"), talk("ua", "?", ":-("), talk("ua", "?", ":-)")) == [
        True,
        True,
        False,
    ]


def test_conversations_in_which_nothing_is_said_are_the_same() -> None:
    assert chosen(NearDuplicates(), talk("s"), talk("ua", "", ""), talk(""), talk("ua", "?", "")) == [
        True,
        True,
        False,
        True,
    ]


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.5, 0.8, 1.0]))
def test_an_earlier_one_that_is_near_is_the_one_that_a_comparison_with_all_finds(
    seed: int, n_sketches: int, similarity: float
) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 2**16, 128, dtype=np.uint16)
    others = random.integers(0, 2**16, (n_sketches, 128), dtype=np.uint16)
    # Of each a share is that of the first: 0.95 and more, or 0.4 and less, where bands leave nothing to chance.
    shares = random.choice([0.3, 0.97, 1.0], (n_sketches, 1))
    sketches = np.where(random.random((n_sketches, 128)) < shares, first, others).astype(np.uint16)
    kept: list[int] = []
    wanted = []
    for n, sketch in enumerate(sketches):
        wanted.append(any((sketches[other] == sketch).mean() >= similarity for other in kept))
        if not wanted[-1]:
            kept.append(n)
    assert list(near_earlier(sketches, similarity)) == wanted


@given(st.lists(st.lists(st.sampled_from(["", "?", "Yes.", "a b c d e", "f g " * 9_000]), max_size=3), max_size=9))
def test_a_key_does_not_depend_on_what_is_looked_at_together(conversations: list[list[str]]) -> None:
    records = [talk("uau"[: len(said)], *said) for said in conversations]
    step = NearDuplicates()
    assert list(step.keys(records)) == list(map(step.key, records))


def test_nothing_is_compared_with_nothing() -> None:
    assert chosen(NearDuplicates()) == []


@given(
    st.lists(st.one_of(st.integers(1, 20), st.integers(1, 2**64 - 1), st.sampled_from([2**64 - 1, 2**63, 1024, 2048])))
)
def test_numbers_are_seen_once(numbers: list[int]) -> None:
    seen, known = Seen(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in known)
        known.add(number)


def test_many_numbers_are_seen_once_in_little_memory() -> None:
    random = Random(1)
    numbers = [random.randrange(1, 2**64) for _ in range(50_000)] + [n << 20 for n in range(1, 200)]
    tracemalloc.start()
    try:
        seen = Seen()
        before, _ = tracemalloc.get_traced_memory()
        assert all(map(seen.add, numbers))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not any(map(seen.add, numbers))
    assert after - before <= 32 * len(numbers)
