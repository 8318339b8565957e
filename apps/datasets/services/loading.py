"""Rows and their sources go to Postgres by COPY, as they are read: memory does not grow with them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.datasets.formats.writing import Written
from apps.datasets.models import DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.row_lines import LineWrong, line_value, lineage_of, record_of
from apps.datasets.sources import Source, Wanted

ROW_COLUMNS = (
    "version_id", "set_name", "position", "record_id", "source_file", "source_record", "steps", "line",
)  # fmt: skip
SOURCE_COLUMNS = (
    "version_id", "file", "record", "format", "value", "user_id", "conversation", "visitor_public_id", "messages",
)  # fmt: skip

BATCH_ROWS = 500
BATCH_CHARS = 4_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in a set. `sha256`: of its lines, each with its end. `changed`: how many rows each step has changed."""

    written: Written
    sha256: str
    changed: dict[str, int]


def rows_load(version: DatasetVersion, set_name: str, lines: Iterable[bytes], wanted: Wanted) -> Loaded:
    """`wanted` learns of which sources the lines are.

    Raises: LineWrong, with the number of the line.
    """
    digest, written, changed = hashlib.sha256(), Written(), Counter[str]()
    with _copied(DatasetRow, ROW_COLUMNS) as copy:
        for n_rows, line in enumerate(lines):
            digest.update(line + b"\n")
            try:
                value = line_value(line)
                told = lineage_of(value)
                written.add(record_of(value))
            except LineWrong as exc:
                raise LineWrong(f"line {n_rows + 1} of {set_name}: {exc}") from exc
            changed.update(set(told.steps))
            if told.record is not None:
                wanted.add(told.file, told.record)
            copy.write_row((version.pk, set_name, n_rows, told.id, told.file, told.record, told.steps, line.decode()))
    return Loaded(written, digest.hexdigest(), dict(sorted(changed.items())))


def sources_load(version: DatasetVersion, sources: Iterable[Source]) -> None:
    """`sources` may be read from this database: they are copied some at a time, because it does one thing at once."""
    for some in _in_batches(sources):
        with _copied(SourceRecord, SOURCE_COLUMNS) as copy:
            for one in some:
                whose = (one.user_id, one.conversation, one.visitor_public_id, one.messages)
                copy.write_row((version.pk, one.file, one.record, one.format, one.value, *whose))


def _in_batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    batch: list[Source] = []
    n_chars = 0
    for one in sources:
        batch.append(one)
        n_chars += len(one.value or "")
        if len(batch) == BATCH_ROWS or n_chars >= BATCH_CHARS:
            yield batch
            batch, n_chars = [], 0
    if batch:
        yield batch


@contextmanager
def _copied(model: type[DatasetRow | SourceRecord], columns: tuple[str, ...]) -> Iterator[Any]:
    names = ", ".join(f'"{name}"' for name in columns)
    statement = f'COPY "{model._meta.db_table}" ({names}) FROM STDIN'
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy
