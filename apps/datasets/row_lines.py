"""What a line of a set says of itself, and what is counted of it. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from apps.core.texts import clean_text
from apps.datasets.formats.shapes import RecordWrong, records_read, shape_of
from apps.datasets.records import Record
from apps.datasets.report import StepReport
from apps.datasets.takedown_ids import ids_of

FILE_MAX_CHARS = 500


class LineWrong(ValueError):
    """Why a line cannot be a row of a dataset."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """`file` empty: a step made it."""

    id: str
    file: str
    record: int | None
    steps: list[str]


def line_value(line: bytes) -> dict[str, Any]:
    """Raises: LineWrong."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise LineWrong("it is not JSON") from exc
    if not isinstance(value, dict):
        raise LineWrong("it is no object")
    return value


def lineage_of(value: dict[str, Any]) -> Lineage:
    """Raises: LineWrong."""
    source = value.get("source")
    if not isinstance(source, dict):
        raise LineWrong("it does not say in 'source' where it comes from")
    file, record, steps = source.get("file") or "", source.get("record"), source.get("steps", [])
    is_told = isinstance(file, str) and len(file) <= FILE_MAX_CHARS and isinstance(steps, list)
    if not is_told or not all(isinstance(step, str) for step in steps):
        raise LineWrong("its 'source' has no file and steps that can be read")
    if not isinstance(record, int) or not 0 <= record < 2**63:
        record = None
    file, steps = clean_text(file), list(map(clean_text, steps))
    return Lineage(clean_text(str(value.get("id", ""))), file, record if file else None, steps)


class LinesKept:
    """Lines without those of what was taken down: `reasons` by id. Iterated once; then `report` counts them, and
    `sha256` is that of all, each with its end."""

    def __init__(self, lines: Iterable[bytes], reasons: Mapping[str, str]) -> None:
        self._lines, self._reasons = lines, reasons
        self._digest = hashlib.sha256()
        self.report = StepReport("takedowns")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self._digest.update(line + b"\n")
            self.report.n_in += 1
            reason = self._reason(line) if self._reasons else None
            if reason is not None:
                self.report.dropped[reason] += 1  # without an example: nothing of it is to stay
                continue
            self.report.n_out += 1
            yield line

    def _reason(self, line: bytes) -> str | None:
        try:
            ids = ids_of(line_value(line))
        except LineWrong:
            return None  # told by whoever reads the line
        return next((self._reasons[id_] for id_ in ids if id_ in self._reasons), None)


def record_of(value: dict[str, Any]) -> Record:
    """As a conversation again. Raises: LineWrong."""
    shape = shape_of(value)
    if shape is None:
        raise LineWrong("it has no conversation")
    try:
        return records_read(shape, value, (0, 0))[0]
    except RecordWrong as exc:
        raise LineWrong(str(exc)) from exc
