"""Files of conversations, opened by what is in them: JSON or JSON lines, plain, in gzip or in zstd,
Parquet, or Arrow. Streamed."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import zstandard

from apps.core.json_stream import Broken, FileCut, stream_values
from apps.datasets.errors import FileUnreadable, FormatUnknown
from apps.datasets.formats.arrow import FILE_MAGIC, STREAM_MAGIC, arrow_values
from apps.datasets.formats.parquet import MAGIC, ColumnsBroken, parquet_values
from apps.datasets.formats.renaming import Names, renamed
from apps.datasets.formats.shapes import Shape, shape_of

ROW_MAX_CHARS = 8 * 1024 * 1024
"""Of one record. One that is longer is counted as broken, and not read into memory whole."""
DEPTH_MAX = 100
"""Of one record. What is nested deeper cannot be written again, nor given to another process."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_TEXT: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape"}
_WINDOW_BYTES = 128 * 1024 * 1024
"""A zstd file may ask for as much memory, and no more."""
_PACKED_BYTES = 1024
"""Unpacked at a time: at most 32,768 times as many come out."""
_TRIED = 100
"""Records that are looked at to find out the shape."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it stands in its file. `line` from 1, `number` from 0; `value` is JSON, or why it is none."""

    number: int
    line: int
    value: Any | Broken
    n_chars: int


def raw_records(path: Path, names: Names | None = None) -> Iterator[Raw]:
    """`names`: what its fields are called. Raises: FileUnreadable, as soon as it is known."""
    if names is None:
        return _raw_records(path)
    return (replace(raw, value=renamed(raw.value, names)) for raw in _raw_records(path))


def _raw_records(path: Path) -> Iterator[Raw]:
    try:
        magic = _magic(path)
        if magic == MAGIC:
            yield from _of_columns(parquet_values(path))
            return
        if magic in (STREAM_MAGIC, FILE_MAGIC):
            yield from _of_columns(arrow_values(path))
            return
        with _opened(path) as file:
            values = stream_values(file, row_max_chars=ROW_MAX_CHARS)
            for number, row in enumerate(values):
                value = Broken(f"nested over {DEPTH_MAX} deep") if is_deeper(row.value, DEPTH_MAX) else row.value
                yield Raw(number, row.line, value, row.n_chars)
    except (FileCut, ColumnsBroken) as exc:
        raise FileUnreadable(path=str(path), reason=str(exc)) from exc
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise FileUnreadable(path=str(path), reason=reason) from exc


def _of_columns(values: Iterator[tuple[Any, int]]) -> Iterator[Raw]:
    """Rows for lines."""
    for number, (found, n_chars) in enumerate(values):
        value = found
        if n_chars > ROW_MAX_CHARS or is_deeper(found, DEPTH_MAX):
            value = Broken(f"longer than {ROW_MAX_CHARS} characters, or nested over {DEPTH_MAX} deep")
        yield Raw(number, number + 1, value, n_chars)


def _magic(path: Path) -> bytes:
    """The first bytes: of any look at a file the first one.

    Raises: FileUnreadable: a pipe, of which every look would take away what it reads. OSError.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        reason = "it is a pipe or a device, and is read more than once: write it into a file first"
        raise FileUnreadable(path=str(path), reason=reason)
    with path.open("rb") as file:
        return file.read(4)


def is_deeper(value: object, most: int) -> bool:
    """Whether objects and lists stand in over `most` others. Looks at one level after the other, without recursion."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def shape_find(path: Path, names: Names | None = None) -> Shape:
    """By the first record that has one. Raises: FileUnreadable, FormatUnknown."""
    found: object = None
    for raw, _ in zip(raw_records(path, names), range(_TRIED), strict=False):
        if isinstance(raw.value, Broken):
            continue
        found = raw.value
        if shape := shape_of(raw.value):
            return shape
    if isinstance(found, dict):
        seen = f"the first record has {', '.join(map(str, list(found)[:8])) or 'nothing'}"
    else:
        seen = "there is no record" if found is None else "its records are no objects"
    raise FormatUnknown(path=str(path), seen=seen, known=", ".join(Shape))


def _opened(path: Path) -> TextIO:
    """As text. A byte that is not UTF-8 becomes a lone surrogate, which `clean_json` replaces.

    Raises: FileUnreadable, OSError.
    """
    magic = _magic(path)
    text: TextIO
    if magic.startswith(_GZIP):
        text = gzip.open(path, "rt", **_TEXT)  # noqa: SIM115  # whoever reads closes it
    elif magic == _ZSTD:
        text = TextIOWrapper(BufferedReader(_Unpacked(path)), **_TEXT)
    else:
        text = path.open(**_TEXT)
    return text


class _Unpacked(RawIOBase):
    """What a zstd file holds. The library's own reader takes a file of which the end is missing for a whole one."""

    def __init__(self, path: Path) -> None:
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._frame = self._unpacker.decompressobj()
        self._ready = memoryview(b"")
        self._file = path.open("rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises: EOFError, ZstdError, OSError."""
        while not self._ready:
            packed = self._frame.unused_data or self._file.read(_PACKED_BYTES)
            if not packed:
                if self._frame.eof:
                    return 0
                raise EOFError("the file ends before what is packed in it does")
            if self._frame.eof:
                self._frame = self._unpacker.decompressobj()
            self._ready = memoryview(self._frame.decompress(packed))
        n_bytes = min(len(buffer), len(self._ready))
        buffer[:n_bytes], self._ready = self._ready[:n_bytes], self._ready[n_bytes:]
        return n_bytes

    def close(self) -> None:
        self._file.close()
        super().close()
