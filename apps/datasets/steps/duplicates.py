"""Conversations that were there before: of the same id, with the same beginning, or nearly the same."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from rensa import RMinHash

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step


@step
@dataclass(frozen=True)
class UniqueIds(ChoiceStep):
    """Keep the first record of each id."""

    name = "unique_ids"

    def key(self, record: Record) -> Key:
        return _digest(record.id)

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        return _first_only(keys, "id was there before")


@step
@dataclass(frozen=True)
class UniqueOpenings(ChoiceStep):
    """Keep the first record of each first question and answer."""

    name = "unique_openings"

    def key(self, record: Record) -> Key:
        question = next(record.said_by(Role.USER), "")
        return _digest(question, next(record.said_by(Role.ASSISTANT), ""))

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        return _first_only(keys, "first question and answer were there before")


_N_PERMUTATIONS = 64
_WORDS = re.compile(r"\w+")
_SHINGLE_WORDS = 5


@step
@dataclass(frozen=True)
class NearDuplicates(ChoiceStep):
    """Keep the first of conversations that are nearly the same: of those whose sets of five words in a row overlap by
    about `similarity` (Jaccard, 0 to 1) or more.

    By MinHash and locality-sensitive hashing, so that it finds most of them and not each one: of two that overlap by
    exactly `similarity`, about half.
    """

    name = "near_duplicates"
    similarity: float = 0.8

    def __post_init__(self) -> None:
        if not 0.3 <= self.similarity <= 1:
            raise OptionWrong("similarity: from 0.3 to 1")

    def key(self, record: Record) -> Key:
        words = _WORDS.findall(record.text.casefold())
        shingles = {" ".join(words[at : at + _SHINGLE_WORDS]) for at in range(max(1, len(words) - _SHINGLE_WORDS + 1))}
        sketch = RMinHash(num_perm=_N_PERMUTATIONS, seed=1)
        sketch.update(list(shingles))
        n_rows = self.rows_of_band
        bands = np.array(sketch.digest(), dtype=np.uint32)[: _N_PERMUTATIONS // n_rows * n_rows].reshape(-1, n_rows)
        return [_digest_of_bytes(n, band.tobytes()) for n, band in enumerate(bands)]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        seen: set[int] = set()
        for bands in keys:
            is_near = any(band in seen for band in bands)
            if not is_near:
                seen.update(bands)
            yield "nearly the same was there before" if is_near else None

    @property
    def rows_of_band(self) -> int:
        """So that it is about from this similarity on that two share one of the bands.

        Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.2: (1/b)^(1/r) for b bands of r.
        """
        sizes = (2, 4, 8, 16, 32, 64)
        return min(sizes, key=lambda rows: abs((rows / _N_PERMUTATIONS) ** (1 / rows) - self.similarity))


def _digest_of_bytes(number: int, band: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(band, digest_size=8, salt=number.to_bytes(2, "big")).digest(), "big")


def _first_only(keys: Iterable[Key], reason: str) -> Iterator[str | None]:
    seen: set[Key] = set()
    for key in keys:
        yield reason if key in seen else None
        seen.add(key)


def _digest(*texts: str) -> int:
    """Eight bytes, so that millions of keys fit in memory. By chance, two of a million records have the same in one run
    of 37 million."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(texts).encode("utf-8", "replace"), digest_size=8).digest(), "big")
