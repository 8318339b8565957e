"""The records of input files from which rows were made, as they stood there. Streamed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import orjson

from apps.core.json_stream import Broken
from apps.core.texts import clean_json
from apps.datasets.formats.files import raw_records
from apps.datasets.run import Input, names_of


@dataclass(frozen=True, slots=True)
class Source:
    """`value` None: not to be kept."""

    file: str
    record: int
    format: str
    value: str | None
    user_id: int | None = None
    conversation: UUID | None = None


@dataclass(slots=True)
class Wanted:
    """Which records of which files rows were made of: a bit for each, so that millions are little."""

    _bits: dict[str, bytearray] = field(default_factory=dict)

    def add(self, file: str, record: int) -> None:
        bits = self._bits.setdefault(file, bytearray())
        place = record >> 3
        if place >= len(bits):
            bits.extend(bytes(max(place + 1 - len(bits), len(bits))))
        bits[place] |= 1 << (record & 7)

    def has(self, file: str, record: int) -> bool:
        bits = self._bits.get(file, b"")
        return record >> 3 < len(bits) and bool(bits[record >> 3] & 1 << (record & 7))


Sources = Callable[[Wanted], Iterable[Source]]


def no_sources(wanted: Wanted) -> Iterator[Source]:
    return iter(())


def sources_of(inputs: list[Input]) -> Sources:
    """Of files. Raises, when they are read: FileUnreadable."""

    def sources(wanted: Wanted) -> Iterator[Source]:
        for one, name in zip(inputs, names_of(inputs), strict=True):
            for raw in raw_records(one.path):
                if wanted.has(name, raw.number) and not isinstance(raw.value, Broken):
                    value = orjson.dumps(clean_json(raw.value)).decode()
                    yield Source(name, raw.number, str(one.shape), value)

    return sources
