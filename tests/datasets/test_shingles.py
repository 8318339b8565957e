"""Words as numbers: as many and as different as the words are, wherever they stand."""

import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.shingles import run_hashes, word_hashes
from apps.datasets.wording import words_of

SIGNS = st.sampled_from(
    [*"aAbBzß_09 .,:-\n\t", "İ", "é", "ж", "的", "字", "ไ", "ท", "あ", "한", "\u0301", "\ud800", "😀"]
)
TEXTS = st.text(SIGNS | st.characters(), max_size=60)


def slow_hash(word: str) -> int:
    """Source: the polynomial as it is written in Karp, Rabin (1987), section 3, with the first letter the lowest."""
    return sum(ord(letter) * pow(0x85EBCA6B, place, 2**32) for place, letter in enumerate(word, 1)) % 2**32


@given(st.lists(TEXTS, max_size=5))
def test_each_word_has_the_number_that_the_same_letters_have_anywhere(texts: list[str]) -> None:
    hashes, firsts = word_hashes(texts)
    found = [hashes[first:end].tolist() for first, end in pairwise(firsts)]
    assert found == [[slow_hash(word) for word in words_of(text)] for text in texts]


def test_every_character_is_taken_as_words_are_cut() -> None:
    characters = [chr(code) for code in (*range(0x20000), *range(0x20000, sys.maxunicode + 1, 89))]
    text = "\n".join(f"a{character}b" for character in characters)
    assert len(text) > 2**16
    (hashes, _), words = word_hashes([text]), words_of(text)
    assert hashes.tolist() == list(map({word: slow_hash(word) for word in set(words)}.get, words))


def same(values: Sequence[object]) -> list[int]:
    """For each value the first place of one that is equal."""
    first: dict[object, int] = {}
    return [first.setdefault(value, place) for place, value in enumerate(values)]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(1, 6))
def test_runs_have_the_same_number_if_they_are_the_same(words: list[int], n: int) -> None:
    hashes = np.array([2**32 - 1, 1, 0], dtype=np.uint32)[words]
    runs = [tuple(words[at : at + n]) for at in range(max(1, len(words) - n + 1))]
    assert same(run_hashes(hashes, n).tolist()) == same(runs)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_columns_are_taken_each_for_itself(seed: int, n: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 2**16, (8, 3), dtype=np.uint16)
    assert (run_hashes(rows, n) == np.stack([run_hashes(column, n) for column in rows.T], axis=1)).all()
