"""Values of a JSON array, or of JSON lines, one after the other: memory does not grow with the file.

A value that cannot be read is given as a `Broken`, and reading goes on where the next row begins.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

ROW_MAX_CHARS = 2 * 1024 * 1024
"""A row may be so long: two conversations of some hundred thousand tokens each."""
_CHUNK_CHARS = 2 * ROW_MAX_CHARS
_BETWEEN = re.compile(r"[\s,]*")
_INDENT_MAX = 100
_INDENT = re.compile(r"[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Broken:
    """Not JSON, and why."""

    reason: str


def stream_values(file: TextIO) -> Iterator[tuple[int, Any | Broken]]:
    """Each value with the number of the line on which it begins, from 1."""
    reader = _Reader(file)
    is_array = reader.skip() == "["
    if is_array:
        reader.take(1)
    while (ahead := reader.skip()) and not (is_array and ahead == "]"):
        yield reader.line, reader.value()
    if not is_array:
        return
    if not ahead:
        yield reader.line, Broken("the file ends before its array does")
        return
    reader.take(1)
    if reader.skip():
        yield reader.line, Broken("something follows the end of the array")


class _Reader:
    """A window on the file: at least one whole row ahead of `at`, or all there is."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._row_start: re.Pattern[str] | None = None
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self.line = 1

    def skip(self) -> str:
        """Go to what is next but blanks and commas; return its first character, or nothing at the end."""
        while True:
            has_more = self._fill()
            blanks = _BETWEEN.match(self._text, self._at)
            self.take(len(blanks[0]) if blanks else 0)
            if self._at < len(self._text) or not has_more:
                return self._text[self._at : self._at + 1]

    def take(self, n: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + n)
        self._at += n

    def value(self) -> Any | Broken:
        """What begins here; skipped when it is broken."""
        self._fill()
        row_start = self._row_start = self._row_start or self._begins_like_this()
        try:
            found, end = self._decoder.raw_decode(self._text, self._at)
        except (ValueError, RecursionError) as exc:
            goes_on = self._resume(row_start)
            return Broken(_reason(exc) + ("" if goes_on else "; nothing after it begins as a row does"))
        self.take(end - self._at)
        return found

    def _begins_like_this(self) -> re.Pattern[str]:
        indent = _INDENT.search(self._text, 0, self._at)
        return re.compile(rf"\n{indent[0] if indent else ''}(?=\{{|\]\s*\Z)")

    def _resume(self, row_start: re.Pattern[str]) -> bool:
        """Go to the next line that begins as rows do, or to the end."""
        while not (following := row_start.search(self._text, self._at)):
            # The end of a line that is not read to its end may be the start of a row.
            cut = self._text.rfind("\n", max(self._at + 1, len(self._text) - _INDENT_MAX))
            self.take((cut if cut > 0 else len(self._text)) - self._at)
            n_ahead = len(self._text) - self._at
            self._fill()
            if len(self._text) - self._at == n_ahead:
                self.take(n_ahead)
                return False
        self.take(following.end() - self._at)
        return True

    def _fill(self) -> bool:
        """Read on until a row is ahead. False when nothing is left to read."""
        while len(self._text) - self._at < ROW_MAX_CHARS:
            chunk = self._file.read(_CHUNK_CHARS)
            if not chunk:
                return False
            # Before the first row, its indent stays.
            kept = self._at if self._row_start else 0
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
