"""Rows and their sources go to Postgres by COPY, as they are read: memory does not grow with them."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from apps.datasets.models import DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.row_lines import LineWrong, line_value, lineage_of
from apps.datasets.sources import Source, Wanted

ROW_COLUMNS = (
    "version_id", "set_name", "position", "record_id", "source_file", "source_record", "steps", "line",
)  # fmt: skip
SOURCE_COLUMNS = ("version_id", "file", "record", "format", "value", "user_id", "conversation")


def rows_load(version: DatasetVersion, set_name: str, lines: Iterable[bytes], wanted: Wanted) -> tuple[int, str]:
    """Number and SHA-256 of the lines, each with its end. `wanted` learns of which sources they are.

    Raises: LineWrong, with the number of the line.
    """
    digest, n_rows = hashlib.sha256(), 0
    with _copied(DatasetRow, ROW_COLUMNS) as copy:
        for line in lines:
            digest.update(line + b"\n")
            try:
                told = lineage_of(line_value(line))
            except LineWrong as exc:
                raise LineWrong(f"line {n_rows + 1} of {set_name}: {exc}") from exc
            if told.record is not None:
                wanted.add(told.file, told.record)
            copy.write_row((version.pk, set_name, n_rows, told.id, told.file, told.record, told.steps, line.decode()))
            n_rows += 1
    return n_rows, digest.hexdigest()


def sources_load(version: DatasetVersion, sources: Iterable[Source]) -> None:
    with _copied(SourceRecord, SOURCE_COLUMNS) as copy:
        for one in sources:
            copy.write_row((version.pk, one.file, one.record, one.format, one.value, one.user_id, one.conversation))


@contextmanager
def _copied(model: type[DatasetRow | SourceRecord], columns: tuple[str, ...]) -> Iterator[Any]:
    names = ", ".join(f'"{name}"' for name in columns)
    statement = f'COPY "{model._meta.db_table}" ({names}) FROM STDIN'
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy
