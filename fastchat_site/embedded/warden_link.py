"""The launcher's end of the warden process: tells it which process groups exist.

What the warden does with them is in `warden`.
"""

import subprocess
import sys
from pathlib import Path

WARDEN = Path(__file__).with_name("warden.py")


class Warden:
    """A running warden; one that somebody killed is replaced at the next word to it."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._groups: set[int] = set()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """For those who record every process."""
        return self._process.pid

    def watch(self, group: int) -> None:
        """See to it that this group ends after us."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended; its number may be used again by somebody else."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def dismiss(self) -> None:
        """Let it end, and reap it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(WARDEN), "--limit", str(self._limit_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )

    def _tell(self, line: str) -> None:
        if self._process.poll() is None:
            self._write(line)
            return
        self.dismiss()
        self._process = self._start()
        for group in self._groups:
            self._write(f"+{group}\n")

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode())
