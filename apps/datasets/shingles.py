"""A text's words, and words in a row, as numbers, for comparing many texts. Pure.

In NumPy, without a Python object for each word: to cut and to join strings takes ten times as long.
"""

import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from apps.datasets.wording import ALONE

_FACTOR, _WIDE_FACTOR = 0x85EBCA6B, np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that each power has an inverse. Source: those of MurmurHash3 and of SplitMix64."""
_IN_WORD, _BY_ITSELF = 1, 2
LETTERS_AT_ONCE = 60_000
"""With as many NumPy's calls cost little, and what they work on is still in the processor's cache."""
_N_READY = 2**16


def word_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], list[int]]:
    """Of each word of `words_of(text)`, of one text after the other, a number: the same in whatever text, and in
    whatever process. And where among them the words of each text begin, and the last end [len(texts) + 1].

    Of 100,000 words about two have the same. Takes up to 50 bytes of memory for each letter, and the least time for
    `LETTERS_AT_ONCE` together.
    Source: Karp, Rabin (1987), Efficient randomized pattern-matching algorithms; modulo 2**32.
    """
    folded = [text.casefold() for text in texts]
    # A line break at both ends, so that each letter has two neighbours.
    codes = np.frombuffer("\n".join(["", *folded, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    begins, ends = _words(_kinds().take(codes))
    powers, inverses = _ready() if len(codes) <= _N_READY else _powers(len(codes))
    sums = codes * powers[: len(codes)]
    sums.cumsum(dtype=np.uint32, out=sums)
    # What a word adds to the sum depends on its place, until it is divided by the power that belongs to it.
    hashes = (sums.take(ends) - sums.take(begins)) * inverses.take(begins)
    firsts = begins.searchsorted(list(accumulate((len(one) + 1 for one in folded), initial=0)))
    return hashes, firsts.tolist()


def run_hashes(hashes: NDArray[np.unsignedinteger], n: int) -> NDArray[np.uint64]:
    """Of each `n` in a row of `hashes` [N], of which there is one at least, a number: [N - n + 1]. Of fewer than `n`
    there is one for all of them. Hashes may be rows [N, M], of which each column is taken for itself."""
    n_runs = max(1, len(hashes) - n + 1)
    wide = hashes.astype(np.uint64)
    runs = wide[:n_runs].copy()
    for at in range(1, min(n, len(hashes))):
        runs *= _WIDE_FACTOR
        runs += wide[at : at + n_runs]
    # So far the low bits know only of low bits.
    runs ^= runs >> np.uint64(32)
    runs *= _WIDE_FACTOR
    return runs


def _words(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where words begin and end, each one place before, of letters of which the first and the last are in no word."""
    if _BY_ITSELF not in kinds.tobytes():
        changes = (kinds[1:] != kinds[:-1]).nonzero()[0]
        return changes[::2], changes[1::2]
    letters, joins = kinds[1:-1], kinds & _IN_WORD
    return (letters > joins[:-2]).nonzero()[0], (letters > joins[2:]).nonzero()[0] + 1


@cache
def _kinds() -> NDArray[np.uint8]:
    """Of each code point what `words_of` takes it for; 0 stands between words."""
    every = np.arange(sys.maxunicode + 1, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    kinds = np.zeros(len(every), dtype=np.uint8)
    for pattern, kind in ((r"\w+", _IN_WORD), (f"[{ALONE}]+", _BY_ITSELF)):
        for found in re.finditer(pattern, every):
            kinds[slice(*found.span())] = kind
    return kinds


@cache
def _ready() -> list[NDArray[np.uint32]]:
    return _powers(_N_READY)


def _powers(n: int) -> list[NDArray[np.uint32]]:
    """The first `n` powers of `_FACTOR`, and of its inverse."""
    both = [np.full(n, factor, dtype=np.uint32) for factor in (_FACTOR, pow(_FACTOR, -1, 2**32))]
    for powers in both:
        powers[0] = 1
        powers.cumprod(dtype=np.uint32, out=powers)
    return both
