"""Conversations that were there before: of the same id, with the same beginning, or nearly the same."""

import hashlib
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from struct import Struct

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from apps.datasets.records import Record, Role
from apps.datasets.shingles import LETTERS_AT_ONCE, run_hashes, word_hashes
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step


@step
@dataclass(frozen=True)
class UniqueIds(ChoiceStep):
    """Keep the first record of each id."""

    name = "unique_ids"

    def key(self, record: Record) -> Key:
        return digest_of(record.id)

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        return _first_only(keys, "id was there before")


@step
@dataclass(frozen=True)
class UniqueOpenings(ChoiceStep):
    """Keep the first record of each first question and answer."""

    name = "unique_openings"

    def key(self, record: Record) -> Key:
        question = next(record.said_by(Role.USER), "")
        return digest_of(question, next(record.said_by(Role.ASSISTANT), ""))

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        return _first_only(keys, "first question and answer were there before")


_N_PERMUTATIONS = 128
_SKETCH = Struct(f"<{_N_PERMUTATIONS}I")
_SHINGLE_WORDS = 5
_SYSTEM = Role.SYSTEM.value  # compared in a third of the time
_FOUND = 0.99
"""Of the conversations that overlap by exactly `similarity`, the share that is compared with the one they overlap."""


@step
@dataclass(frozen=True)
class NearDuplicates(ChoiceStep):
    """Keep the first of conversations that are nearly the same: of those whose sets of five words in a row overlap by
    `similarity` (Jaccard, 0 to 1) or more. What systems are told is not looked at.

    The overlap is estimated by MinHash, with a standard error of at most 0.04: at exactly `similarity` about half go,
    from 0.1 above it all but about 1 in 100, and from 0.1 below it fewer than 2 in 100. Takes a kilobyte of memory for
    each record. Slow where many are alike, but less than `similarity`: each is compared with all that were kept.
    """

    name = "near_duplicates"
    similarity: float = 0.8

    def __post_init__(self) -> None:
        if not 0.3 <= self.similarity <= 1:
            raise OptionWrong("similarity: from 0.3 to 1")

    def key(self, record: Record) -> Key:
        (key,) = self.keys([record])
        return key

    def keys(self, records: Iterable[Record]) -> Iterator[Key]:
        for some in _batches(map(_said, records)):
            shingles = _shingles(some)
            sketches = RMinHash.digest_matrix_from_flat_token_hashes(
                np.concatenate(shingles),
                list(accumulate(map(len, shingles), initial=0)),
                num_perm=_N_PERMUTATIONS,
                seed=1,
            )
            for sketch in sketches.to_rows():
                # The lower half of each tells two apart as well.
                halves = np.frombuffer(_SKETCH.pack(*sketch), dtype="<u2")[::2]
                yield b2a_base64(halves.tobytes(), newline=False).decode()

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        raw = b"".join(map(a2b_base64, keys))
        sketches = np.frombuffer(raw, dtype="<u2").reshape(-1, _N_PERMUTATIONS)
        for is_near in near_earlier(sketches, self.similarity):
            yield "nearly the same was there before" if is_near else None


def _said(record: Record) -> list[str]:
    return [message.content for message in record.all_messages() if message.role != _SYSTEM]


def _batches(conversations: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    n_letters = 0
    for said in conversations:
        n_more = sum(map(len, said))
        if batch and n_letters + n_more > LETTERS_AT_ONCE:
            yield batch
            batch, n_letters = [], 0
        batch.append(said)
        n_letters += n_more
    if batch:
        yield batch


def _shingles(conversations: list[list[str]]) -> list[NDArray[np.uint64]]:
    """Of each conversation the five words in a row: all words if they are fewer, messages if there are only signs."""
    words, firsts = word_hashes(["\n".join(said) for said in conversations])
    runs = run_hashes(words, _SHINGLE_WORDS)
    return [
        runs[first : end - _SHINGLE_WORDS + 1] if end - first >= _SHINGLE_WORDS else _few(words[first:end], said)
        for said, (first, end) in zip(conversations, pairwise(firsts), strict=True)
    ]


def _few(words: NDArray[np.unsignedinteger], said: list[str]) -> NDArray[np.uint64]:
    if not len(words):  # signs alone, as ":-)"
        words = np.array([digest_of(one) for one in said or [""]], dtype=np.uint64)
    return run_hashes(words, _SHINGLE_WORDS)


def near_earlier(sketches: NDArray[np.uint16], similarity: float) -> Iterator[bool]:
    """For each sketch [N, P] in order whether one that was kept before is equal to it in a share of `similarity`.

    Only those that are equal in a whole band are compared. Quadratic in how many are alike and still kept.
    Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.
    """
    n_least = int(np.ceil(similarity * sketches.shape[1] - 1e-9))
    buckets = _buckets(sketches, rows_of_band(similarity, sketches.shape[1]))
    kept, n_kept = np.empty(len(sketches), dtype=np.int32), 0
    kept_in: dict[tuple[int, int], list[int]] = {}
    is_met = buckets.max(axis=1, initial=-1) >= 0
    for n, sketch in enumerate(sketches):
        places = [(band, bucket) for band, bucket in enumerate(buckets[n].tolist()) if bucket >= 0] if is_met[n] else []
        met = [kept_in[place] for place in places if place in kept_in]
        # To compare with all is quicker than to make a set of as many.
        others = kept[:n_kept] if sum(map(len, met)) > n_kept else list(set().union(*met))
        is_near = len(others) > 0 and int(np.count_nonzero(sketches[others] == sketch, axis=1).max()) >= n_least
        if not is_near:
            kept[n_kept] = n
            n_kept += 1
            for place in places:
                kept_in.setdefault(place, []).append(n)
        yield is_near


def _buckets(sketches: NDArray[np.uint16], n_rows: int) -> NDArray[np.int32]:
    """For each sketch and band [N, B] a number that those have in common which are equal there, or -1 if none is."""
    n_bands = sketches.shape[1] // n_rows
    buckets = np.empty((len(sketches), n_bands), dtype=np.int32)
    for band in range(n_bands):
        part = sketches[:, band * n_rows : (band + 1) * n_rows]
        _, numbers, counts = np.unique(run_hashes(part.T, n_rows)[0], return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(counts[numbers] > 1, numbers, -1)
    return buckets


def rows_of_band(similarity: float, n_permutations: int) -> int:
    """As many as still let `_FOUND` of those that are equal in this share be equal in a whole band."""
    sizes = range(1, n_permutations + 1)
    return max(rows for rows in sizes if 1 - (1 - similarity**rows) ** (n_permutations // rows) >= _FOUND)


def _first_only(keys: Iterable[int], reason: str) -> Iterator[str | None]:
    seen = Seen()
    for key in keys:
        yield None if seen.add(key) else reason


class Seen:
    """Numbers of 64 bits that were there, in some 16 to 32 bytes each: Python's set takes 80.

    Open addressing. Source: Knuth, The Art of Computer Programming 3, 6.4, algorithm L.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * 1024))
        self._n = 0

    def add(self, number: int) -> bool:
        """Whether it was not there. Of 0 and 1 there is but one, as 0 is what an empty place has."""
        if not self._put(number or 1):
            return False
        self._n += 1
        if 2 * self._n > len(self._table):
            there, self._table = self._table, array("Q", bytes(2 * 8 * len(self._table)))
            for one in there:
                if one:
                    self._put(one)
        return True

    def _put(self, number: int) -> bool:
        table = self._table
        last = len(table) - 1
        at = number & last
        while there := table[at]:
            if there == number:
                return False
            at = (at + 1) & last
        table[at] = number
        return True


def digest_of(*texts: str) -> int:
    """Eight bytes, so that millions of keys fit in memory. By chance, two of a million records have the same in one run
    of 37 million."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(texts).encode("utf-8", "replace"), digest_size=8).digest(), "big")
