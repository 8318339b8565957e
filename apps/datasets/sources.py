"""The records of input files from which rows were made, as they stood there. Streamed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import orjson

from apps.core.json_stream import Broken
from apps.core.texts import clean_json
from apps.datasets.formats.files import raw_records
from apps.datasets.run import Input, names_of

_BLOCK_BITS = 8_192


@dataclass(frozen=True, slots=True)
class Source:
    """`value` None: not to be kept."""

    file: str
    record: int
    format: str
    value: str | None
    user_id: int | None = None
    conversation: UUID | None = None
    visitor_public_id: UUID | None = None
    messages: list[int] | None = None


@dataclass(slots=True)
class Wanted:
    """Which records of which files rows were made of: a bit for each, so that millions are little.

    The bits stand in blocks, so that a line that names a record far away costs no more than another.
    """

    _blocks: dict[tuple[str, int], bytearray] = field(default_factory=dict)

    def add(self, file: str, record: int) -> None:
        number, bit = divmod(record, _BLOCK_BITS)
        block = self._blocks.setdefault((file, number), bytearray(_BLOCK_BITS // 8))
        block[bit >> 3] |= 1 << (bit & 7)

    def has(self, file: str, record: int) -> bool:
        number, bit = divmod(record, _BLOCK_BITS)
        block = self._blocks.get((file, number))
        return block is not None and bool(block[bit >> 3] & 1 << (bit & 7))

    def files(self) -> set[str]:
        return {file for file, _ in self._blocks}


Sources = Callable[[Wanted], Iterable[Source]]


def no_sources(wanted: Wanted) -> Iterator[Source]:
    return iter(())


def sources_of(inputs: list[Input]) -> Sources:
    """Of files; those of the site are in `site.lineage`. Raises, when they are read: FileUnreadable."""

    def sources(wanted: Wanted) -> Iterator[Source]:
        for one, name in zip(inputs, names_of(inputs), strict=True):
            if one.taken is not None:
                continue
            for raw in raw_records(one.path, one.names):
                if wanted.has(name, raw.number) and not isinstance(raw.value, Broken):
                    value = orjson.dumps(clean_json(raw.value)).decode()
                    yield Source(name, raw.number, str(one.shape), value)

    return sources


def sources_together(*several: Sources) -> Sources:
    def sources(wanted: Wanted) -> Iterator[Source]:
        for one in several:
            yield from one(wanted)

    return sources
