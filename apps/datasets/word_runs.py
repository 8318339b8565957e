"""Words in a row of some texts, found again in others. Pure."""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Run:
    """Words in a row of a benchmark's record, its number from 0."""

    benchmark: str
    record: int
    text: str


class Index:
    """All runs of words that are looked for, by their length and a hash, and compared word by word when one is met."""

    def __init__(self, least_words: int) -> None:
        self._least = least_words
        self._runs: dict[int, dict[int, Run]] = {}
        self._hashes: dict[int, Hashes] = {}

    def add(self, benchmark: str, record: int, words: list[str], n_words: int) -> bool:
        """Whether the text is long enough to be looked for."""
        n = min(n_words, len(words))
        if n < self._least:
            return False
        runs = self._runs.setdefault(n, {})
        for at, hash_ in enumerate(_hashes(words, [n])[n]):
            runs.setdefault(int(hash_), Run(benchmark, record, " ".join(words[at : at + n])))
        return True

    def close(self) -> None:
        self._hashes = {n: np.array(sorted(runs), dtype=np.uint64) for n, runs in sorted(self._runs.items())}

    def found_in(self, words: list[str]) -> Run | None:
        for n, hashes in _hashes(words, list(self._hashes)).items():
            for at in np.flatnonzero(np.isin(hashes, self._hashes[n])):
                run = self._runs[n][int(hashes[at])]
                if run.text == " ".join(words[at : at + n]):
                    return run
        return None


def _hashes(words: list[str], lengths: list[int]) -> dict[int, Hashes]:
    """For each length, ascending, the hashes of all runs of so many words. Lengths that do not fit are left out."""
    codes = np.fromiter((crc32(word.encode("utf-8", "replace")) for word in words), np.uint64, len(words))
    found = {}
    hashes = codes
    for n in range(1, min(max(lengths, default=0), len(words)) + 1):
        if n > 1:
            hashes = hashes[:-1] * _FACTOR + codes[n - 1 :]
        if n in lengths:
            found[n] = hashes
    return found
