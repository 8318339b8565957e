"""Values of a JSON array, or of JSON lines, one after the other: memory does not grow with the file.

A value that cannot be read is given as a `Broken`, and reading goes on where the next row begins. A file of which the
rest cannot be read is refused: nobody would miss what is not there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

from apps.leaderboard.errors import BattleFileCut

ROW_MAX_CHARS = 2 * 1024 * 1024
"""A row may be so long, two conversations of some hundred thousand tokens each; a longer one is broken."""
_CHUNK_CHARS = 2 * ROW_MAX_CHARS
_BETWEEN = re.compile(r"[\s,]*")
_INDENT_MAX = 100
_INDENT = re.compile(r"[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Broken:
    """Not JSON, and why."""

    reason: str


def stream_values(file: TextIO) -> Iterator[tuple[int, Any | Broken]]:
    """Each value with the number of the line on which it begins, from 1. Raises: BattleFileCut."""
    reader = _Reader(file)
    while not reader.is_at_end():
        yield reader.line, reader.value()


class _Reader:
    """A window on the file: at least one whole row ahead of `at`, or all there is."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._n_taken = 0
        self._last = ""
        self._row_start: re.Pattern[str] | None = None
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self.line = 1
        self._is_array = self._skip() == "["
        if self._is_array:
            self._take(1)

    def is_at_end(self) -> bool:
        ahead = self._skip()
        if not self._is_array:
            return not ahead
        if not ahead:
            raise BattleFileCut(line=self.line, reason="the file ends before its array does")
        if ahead != "]":
            return False
        self._take(1)
        if self._skip():
            raise BattleFileCut(line=self.line, reason="something follows the end of the array")
        return True

    def _skip(self) -> str:
        """Go to what is next but blanks and commas; return its first character, or nothing at the end."""
        while True:
            has_more = self._fill()
            blanks = _BETWEEN.match(self._text, self._at)
            self._take(len(blanks[0]) if blanks else 0)
            if self._at < len(self._text) or not has_more:
                return self._text[self._at : self._at + 1]

    def _take(self, n: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + n)
        self._at += n
        self._n_taken += n

    def value(self) -> Any | Broken:
        """What begins here; skipped when it is broken."""
        self._fill()
        row_start = self._row_start = self._row_start or self._begins_like_this()
        line, before = self.line, self._n_taken
        try:
            found, end = self._decoder.raw_decode(self._text, self._at)
        except (ValueError, RecursionError) as exc:
            if not self._resume(row_start) and (self._is_array or self._last != "\n"):
                raise BattleFileCut(
                    line=line, reason=f"{_reason(exc)}, and no later line begins as a row does"
                ) from exc
            return self._broken(before, _reason(exc))
        self._take(end - self._at)
        return self._broken(before) or found

    def _broken(self, before: int, reason: str = "") -> Broken | None:
        """A row that is too long is that, whether or not all of it was in the window."""
        is_long = self._n_taken - before > ROW_MAX_CHARS
        reason = f"longer than {ROW_MAX_CHARS:,} characters" if is_long else reason
        return Broken(reason) if reason else None

    def _begins_like_this(self) -> re.Pattern[str]:
        indent = _INDENT.search(self._text, 0, self._at)
        return re.compile(rf"\n{indent[0] if indent else ''}(?=\{{|\]\s*\Z)")

    def _resume(self, row_start: re.Pattern[str]) -> bool:
        """Go to the next line that begins as rows do, or to the end; whether there is one."""
        while not (following := row_start.search(self._text, self._at)):
            # The end of a line that is not read to its end may be the start of a row.
            cut = self._text.rfind("\n", max(self._at + 1, len(self._text) - _INDENT_MAX))
            self._take((cut if cut > 0 else len(self._text)) - self._at)
            n_ahead = len(self._text) - self._at
            self._fill()
            if len(self._text) - self._at == n_ahead:
                self._take(n_ahead)
                return False
        self._take(following.end() - self._at)
        return True

    def _fill(self) -> bool:
        """Read on until a row is ahead. False when nothing is left to read."""
        while len(self._text) - self._at < ROW_MAX_CHARS:
            chunk = self._file.read(_CHUNK_CHARS)
            if not chunk:
                return False
            self._last = chunk[-1]
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
