"""Values of a JSON array, or of JSON lines, one after the other: memory does not grow with the file.

A value that cannot be read is given as a `Broken`, and reading goes on where the next row begins. A file of which the
rest cannot be read is refused: nobody would miss what is not there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from apps.core.texts import finite

_BETWEEN = re.compile(r"[\s,]*")
_INDENT_MAX = 100
_CHUNK_CHARS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Broken:
    """Not JSON, and why."""

    reason: str


class Row(NamedTuple):
    """`line`: where it begins, from 1. `n_chars`: how long it is."""

    line: int
    value: Any | Broken
    n_chars: int


class Text(Protocol):
    """An open file, or what is read as one."""

    def read(self, n_chars: int, /) -> str:
        """About so many; nothing at the end."""


class FileCut(ValueError):
    """What follows cannot be read, as in a file of which the end is missing."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


def stream_values(file: Text, *, row_max_chars: int, chunk_chars: int = _CHUNK_CHARS) -> Iterator[Row]:
    """A row of over `row_max_chars` is `Broken`.

    `chunk_chars` are read at a time: memory holds some times as many, and where a row is broken or very long,
    `row_max_chars` besides.
    Raises: FileCut.
    """
    reader = _Reader(file, row_max_chars, chunk_chars)
    while not reader.is_at_end():
        yield reader.row()


class _Reader:
    """A window on the file, which grows where a row does not end in it."""

    def __init__(self, file: Text, row_max_chars: int, chunk_chars: int) -> None:
        self._file, self._row_max_chars, self._chunk_chars = file, row_max_chars, chunk_chars
        self._text = ""
        self._at = 0
        self._n_taken = 0
        self._last = ""
        self._row_start: re.Pattern[str] | None = None
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=finite)
        self.line = 1
        self._is_array = self._skip() == "["
        if self._is_array:
            self._take(1)

    def is_at_end(self) -> bool:
        ahead = self._skip()
        if not self._is_array:
            return not ahead
        if not ahead:
            raise FileCut(self.line, "the file ends before its array does")
        if ahead != "]":
            return False
        self._take(1)
        if self._skip():
            raise FileCut(self.line, "something follows the end of the array")
        return True

    def _skip(self) -> str:
        """Go to what is next but blanks and commas; return its first character, or nothing at the end."""
        while True:
            has_more = self._fill(1)
            blanks = _BETWEEN.match(self._text, self._at)
            self._take(len(blanks[0]) if blanks else 0)
            if self._at < len(self._text) or not has_more:
                return self._text[self._at : self._at + 1]

    def _take(self, n: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + n)
        self._at += n
        self._n_taken += n

    def row(self) -> Row:
        """What begins here; skipped when it is broken."""
        row_start = self._row_start = self._row_start or self._begins_like_this()
        line, before = self.line, self._n_taken
        try:
            found, end = self._decoded()
        except (ValueError, RecursionError) as exc:
            if not self._resume(row_start) and (self._is_array or self._last != "\n"):
                raise FileCut(line, f"{_reason(exc)}, and no later line begins as a row does") from exc
            return Row(line, self._broken(before, _reason(exc)), self._n_taken - before)
        self._take(end - self._at)
        return Row(line, self._broken(before) or found, self._n_taken - before)

    def _decoded(self) -> tuple[Any, int]:
        """What begins here, and where it ends. Raises: ValueError, RecursionError."""
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                if not self._reads_on():
                    raise
            else:
                # A number that ends with the window may go on behind it.
                if end < len(self._text) or not self._reads_on():
                    return found, end

    def _broken(self, before: int, reason: str = "") -> Broken | None:
        """A row that is too long is that, whether or not all of it was in the window."""
        is_long = self._n_taken - before > self._row_max_chars
        reason = f"longer than {self._row_max_chars:,} characters" if is_long else reason
        return Broken(reason) if reason else None

    def _begins_like_this(self) -> re.Pattern[str]:
        before = self._text[max(0, self._at - _INDENT_MAX) : self._at]
        indent = before[len(before.rstrip(" \t")) :]
        return re.compile(rf"\n{indent}(?=\{{|\]\s*\Z)")

    def _resume(self, row_start: re.Pattern[str]) -> bool:
        """Go to the next line that begins as rows do, or to the end; whether there is one."""
        while not (following := row_start.search(self._text, self._at)):
            # The end of a line that is not read to its end may be the start of a row.
            cut = self._text.rfind("\n", max(self._at + 1, len(self._text) - _INDENT_MAX))
            self._take((cut if cut > 0 else len(self._text)) - self._at)
            n_ahead = len(self._text) - self._at
            self._fill(self._row_max_chars)
            if len(self._text) - self._at == n_ahead:
                self._take(n_ahead)
                return False
        self._take(following.end() - self._at)
        return True

    def _reads_on(self) -> bool:
        """Have twice as much ahead, up to as much as a row may be long; whether there is more than before."""
        n_ahead = len(self._text) - self._at
        self._fill(min(2 * n_ahead + 1, self._row_max_chars))
        return len(self._text) - self._at > n_ahead

    def _fill(self, n_ahead: int) -> bool:
        """Read on until so much is ahead. False when nothing is left to read."""
        while len(self._text) - self._at < n_ahead:
            chunk = self._file.read(self._chunk_chars)
            if not chunk:
                return False
            self._last = chunk[-1]
            # Before the first row, its indent stays.
            kept = self._at if self._row_start else max(0, self._at - _INDENT_MAX)
            self._text, self._at = self._text[kept:] + chunk, self._at - kept
        return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _reason(exc: ValueError | RecursionError) -> str:
    match exc:
        case json.JSONDecodeError():
            return f"not JSON: {exc.msg}"
        case RecursionError():
            return "not JSON: nested too deeply"
        case _:
            return f"not JSON: {exc}"
