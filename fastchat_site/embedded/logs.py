"""A child's log: what it writes, byte for byte, in a file that is rotated by size between two lines.

The supervisor reads the child's pipe and writes here, so that the child never reopens a file and loses no line.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEEP_FILES = 5
TAIL_LINES = 20
LONGEST_TAIL_LINE_BYTES = 4096


class RotatingLog:
    """Append to `path`; at `max_bytes` it becomes `path.1`, the older ones move up, and the oldest goes.

    A log that cannot be written (disk full) must not end the site: its bytes are lost, `complain` is told once, and
    writing is tried again with every later chunk. The last lines are kept in memory in any case.
    """

    def __init__(
        self, path: Path, *, complain: Callable[[str], None], max_bytes: int = MAX_BYTES, keep: int = KEEP_FILES
    ) -> None:
        self.path = path
        self._complain = complain
        self._max_bytes = max_bytes
        self._keep = keep
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._unfinished = b""
        self._complained = False
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def write(self, chunk: bytes) -> None:
        """Append; a chunk that does not fit is split after its first line."""
        self._remember(chunk)
        try:
            if self._size + len(chunk) > self._max_bytes:
                end = chunk.find(b"\n") + 1
                self._append(chunk[:end])
                chunk = chunk[end:]
                if end:
                    self._rotate()
            self._append(chunk)
            self._complained = False
        except OSError as exc:
            if not self._complained:
                self._complained = True
                self._complain(f"the log {self.path} cannot be written: {exc.strerror}")

    def tail(self) -> list[str]:
        """The last lines, the unfinished one included."""
        lines = list(self._lines)
        if self._unfinished:
            lines.append(self._unfinished.decode(errors="replace"))
        return lines[-TAIL_LINES:]

    def forget_tail(self) -> None:
        """Begin anew with the next line: a start must not be judged by what an earlier one wrote."""
        self._lines.clear()
        self._unfinished = b""

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        while data:
            written = self._file.write(data)
            self._size += written
            data = data[written:]

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._file.close()
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def _remember(self, chunk: bytes) -> None:
        *finished, rest = (self._unfinished + chunk).split(b"\n")
        self._lines.extend(line.decode(errors="replace").rstrip("\r") for line in finished)
        self._unfinished = rest[-LONGEST_TAIL_LINE_BYTES:]
