"""Conversations in Arrow, as the library `datasets` saves them: a stream of record batches, or a file with an index."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arro3.io import read_ipc, read_ipc_stream

from apps.datasets.formats.parquet import ROWS_AT_ONCE, ColumnsBroken, batches_values

STREAM_MAGIC, FILE_MAGIC = b"\xff\xff\xff\xff", b"ARRO"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""Source: https://arrow.apache.org/docs/format/Columnar.html, "IPC Streaming Format"."""


def arrow_values(path: Path) -> Iterator[tuple[Any, int]]:
    """Each row as JSON, without what is null, and how many characters it has. Raises: ColumnsBroken, OSError."""
    with path.open("rb") as file:
        is_stream = file.read(4) == STREAM_MAGIC
        file.seek(-min(len(_END_OF_STREAM), path.stat().st_size), os.SEEK_END)
        # The library takes a stream that is cut between two batches for a whole one.
        if is_stream and file.read() != _END_OF_STREAM:
            raise ColumnsBroken("the file ends before its stream of batches does")
    return batches_values(lambda: _in_slices(read_ipc_stream(path) if is_stream else read_ipc(path)))


def _in_slices(batches: Any) -> Iterator[Any]:
    """A batch has as many rows as its writer liked."""
    for batch in batches:
        for begin in range(0, batch.num_rows, ROWS_AT_ONCE):
            yield batch.slice(begin, min(ROWS_AT_ONCE, batch.num_rows - begin))
