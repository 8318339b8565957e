"""Conversations in Parquet, in and out, some rows at a time.

Columns are the same for all sets, so that no type is guessed: what a row or a message has beside them is JSON, in the
column `extra_json`, and is put back when the file is read.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from arro3.core import DataType, Field, Schema
from arro3.io import read_json, read_parquet, write_ndjson, write_parquet

MAGIC = b"PAR1"
EXTRA = "extra_json"
ROWS_AT_ONCE = 64
_TEXT = DataType.utf8()


def _list_of(kind: DataType) -> DataType:
    return DataType.list(Field("item", kind))


_MESSAGES = _list_of(DataType.struct([Field("role", _TEXT), Field("content", _TEXT), Field(EXTRA, _TEXT)]))
_SOURCE = DataType.struct(
    [
        Field("file", _TEXT),
        Field("record", DataType.int64()),
        Field("steps", _list_of(_TEXT)),
        Field("row", _TEXT),
    ]
)
_TALKS = ("messages", "prompt", "chosen", "rejected")
_SCHEMA = Schema(
    [
        Field("id", _TEXT),
        Field("model", _TEXT),
        *(Field(name, _MESSAGES) for name in _TALKS),
        Field("source", _SOURCE),
        Field(EXTRA, _TEXT),
    ]
)


class ColumnsBroken(Exception):
    """The file cannot be read, and why."""


def parquet_values(path: Path) -> Iterator[tuple[Any, int]]:
    """Each row as JSON, without what is null, and how many characters it has. Raises: ColumnsBroken."""
    return batches_values(lambda: read_parquet(path, batch_size=ROWS_AT_ONCE))


def batches_values(read: Callable[[], Iterable[Any]]) -> Iterator[tuple[Any, int]]:
    """The same of record batches of any file. Raises: ColumnsBroken."""
    with _told():
        batches = iter(read())
    while True:
        with _told():
            lines = _next_lines(batches)
        if lines is None:
            return
        for line in lines:
            yield _restored(orjson.loads(line)), len(line)


def _next_lines(batches: Iterator[Any]) -> list[bytes] | None:
    batch = next(batches, None)
    if batch is None:
        return None
    text = io.BytesIO()
    write_ndjson(batch, text)
    return text.getvalue().splitlines()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BaseException as exc:
        # The library panics at some broken files, which is no `Exception`.
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        raise ColumnsBroken(str(exc)[-200:]) from exc


def lines_to_parquet(lines: Path, path: Path) -> None:
    """`lines`: rows of `clean`, in JSON lines. Beside it a file of the same rows is written, and removed again."""
    flat = lines.with_name(lines.name + ".flat")
    with lines.open("rb") as source, flat.open("wb") as made:
        for line in source:
            made.write(orjson.dumps(_flat(orjson.loads(line)), option=orjson.OPT_APPEND_NEWLINE))
    write_parquet(read_json(flat, _SCHEMA), path, compression="zstd(3)")
    flat.unlink()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A field that has a column's name but is of another kind, as a prompt that is a text, goes beside the columns."""
    known = [name for name in ("id", "model", "source", *_TALKS) if name in row and _fits(name, row[name])]
    flat = {name: row[name] for name in known}
    for name in _TALKS:
        if name in flat:
            flat[name] = [_with_extra(message, ("role", "content")) for message in flat[name]]
    return flat | _extra(row, known)


def _fits(name: str, value: Any) -> bool:
    if name == "source":
        return isinstance(value, dict) and all(_is_of_source(field, told) for field, told in value.items())
    if name not in _TALKS:
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(one, dict) and _is_message(one) for one in value)


def _is_of_source(name: str, value: Any) -> bool:
    match name, value:
        case (("file" | "row"), None | str()):
            return True
        case "record", None | int():
            return not isinstance(value, bool) and (value is None or -(2**63) <= value < 2**63)
        case "steps", list():
            return all(isinstance(step, str) for step in value)
    return False


def _is_message(value: dict[str, Any]) -> bool:
    return all(isinstance(value.get(name), str) for name in ("role", "content"))


def _with_extra(value: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in known if name in value} | _extra(value, known)


def _extra(value: dict[str, Any], known: Sequence[str]) -> dict[str, str]:
    more = {name: field for name, field in value.items() if name not in known}
    return {EXTRA: orjson.dumps(more).decode()} if more else {}


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(one) for one in value]
    if not isinstance(value, dict):
        return value
    restored = {name: _restored(field) for name, field in value.items() if name != EXTRA}
    if isinstance(extra := value.get(EXTRA), str):
        try:
            more = orjson.loads(extra)
        except orjson.JSONDecodeError:
            more = None
        restored |= more if isinstance(more, dict) else {EXTRA: extra}
    return restored
