"""Conversations that were there before: of the same id, with the same beginning, or nearly the same."""

import hashlib
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.datasets.records import Record, Role
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


_SYSTEM = Role.SYSTEM.value  # compared in a third of the time


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
        # Here, because NumPy takes a tenth of a second to load, which recipes without this step need not wait for.
        from apps.datasets.nearness import sketches_of

        return (b2a_base64(sketch, newline=False).decode() for sketch in sketches_of(map(_said, records)))

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        from apps.datasets.nearness import near_earlier, sketches_read

        for is_near in near_earlier(sketches_read(b"".join(map(a2b_base64, keys))), self.similarity):
            yield "nearly the same was there before" if is_near else None


def _said(record: Record) -> list[str]:
    return [message.content for message in record.all_messages() if message.role != _SYSTEM]


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
