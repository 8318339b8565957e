"""One started process: its pipe into the log, and its end.

It is thrown away when the process has ended; what happens then is decided in `child`.
"""

import asyncio
import os
import signal
from contextlib import suppress

from .logs import RotatingLog
from .process import ProcessSpec, spawn
from .warden_link import Warden

CHUNK_BYTES = 64 * 1024


class Running:
    """Start the process and listen to it in the running event loop; `ended` is set when nothing of it is left."""

    def __init__(self, spec: ProcessSpec, *, log: RotatingLog, warden: Warden) -> None:
        self.ended = asyncio.Event()
        self._log = log
        self._warden = warden
        self._loop = asyncio.get_running_loop()
        self._pipe, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = spawn(spec, output=writing)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(writing)
        self.pid = self._process.pid
        warden.watch(self.pid)
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def how_it_ended(self) -> str:
        """In words, for a process that has ended."""
        if self.status < 0:
            return f"was ended by {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}"

    @property
    def status(self) -> int:
        """The exit status, negative for a signal; only of a process that has ended."""
        if self._process.returncode is None:
            raise RuntimeError(f"process {self.pid} has not ended")
        return self._process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Tell the process alone; its own children are its business."""
        self._process.send_signal(number)

    def kill_group(self) -> None:
        """End the process and all that it started in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self) -> bool:
        """Move one chunk from the pipe to the log; whether there may be more right now."""
        try:
            chunk = os.read(self._pipe, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close_pipe()
            return False
        self._log.write(chunk)
        return True

    def _reap(self) -> None:
        """Take what the process left in the pipe, end what it left in its group, collect its status."""
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Before the status is collected: until then its number cannot be given to another process.
        self.kill_group()
        while self._pipe >= 0 and self._read():
            pass
        self._close_pipe()
        self._process.wait()
        self._warden.forget(self.pid)
        self.ended.set()

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
