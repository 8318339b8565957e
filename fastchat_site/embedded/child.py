"""One supervised process through all its starts: the loop that brings it back, and its stop.

Which process comes when, and in which order all are stopped, is the business of `supervisor`.
"""

import asyncio
import time
from collections.abc import Callable

from .errors import LaunchError, ProcessCannotStart
from .lifecycle import Life, State, on_end, on_ready, on_spawn, on_stop
from .logs import RotatingLog
from .process import ProcessSpec
from .running import Running
from .warden_link import Warden

Say = Callable[[str, str], None]  # the process's name, and what is to be said about it
READY_POLL_S = 0.05


class Child:
    """A process of the site; `first_ready` is set once it was ready for the first time."""

    def __init__(self, spec: ProcessSpec, *, log: RotatingLog, warden: Warden, say: Say) -> None:
        self.spec = spec
        self.life = Life()
        self.first_ready = asyncio.Event()
        self._log = log
        self._warden = warden
        self._say = say
        self._running: Running | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the process, while one runs."""
        return None if self._running is None or self._running.ended.is_set() else self._running.pid

    async def keep_running(self) -> None:
        """Start it, and start it again whenever it ends, until this task is cancelled; then call `stop`.

        Raises:
            ProcessCannotStart: it ended, or took too long, before it was ever ready.
        """
        while True:
            reason = await self._live_once()
            self.life = on_end(self.life, time.monotonic())
            if self.life.state is State.CANNOT_START:
                raise self._cannot_start(reason)
            self._say(self.spec.name, f"{reason}; starts again in {self.life.delay_s:.1f} s")
            await asyncio.sleep(self.life.delay_s)

    async def run_to_end(self) -> None:
        """Run a command that ends by itself.

        Raises:
            ProcessCannotStart: it ended with another status than 0; the message has its last lines.
        """
        started = time.monotonic()
        running = self._start()
        await running.ended.wait()
        if running.status != 0:
            raise self._cannot_start(running.how_it_ended)
        self._say(self.spec.name, f"done in {time.monotonic() - started:.1f} s")

    async def stop(self, limit_s: float, hurry: asyncio.Event) -> None:
        """Ask it to end, and kill it with all of its group at the limit, or soon after patience is lost."""
        self.life = on_stop(self.life, time.monotonic())
        running = self._running
        if running is not None and not running.ended.is_set():
            running.send_signal(self.spec.stop_signal)
            await _either(running.ended, hurry, limit_s)
            if hurry.is_set():
                await _either(running.ended, running.ended, min(limit_s, self.spec.hurried_stop_s))
            if not running.ended.is_set():
                self._say(self.spec.name, "did not end in time: killed")
                running.kill_group()
                await running.ended.wait()
        self._log.close()

    async def _live_once(self) -> str:
        """One start and its end; returns what ended it, in words."""
        started = time.monotonic()
        try:
            await asyncio.to_thread(self.spec.prepare)
            running = self._start()
        except (OSError, LaunchError) as exc:
            return f"cannot be started: {exc}"
        self.life = on_spawn(self.life, started)
        if not await self._becomes_ready(running, started + self.spec.start_limit_s):
            if running.ended.is_set():
                return f"{running.how_it_ended} before it was ready"
            running.kill_group()
            await running.ended.wait()
            return f"was not ready within {self.spec.start_limit_s:.0f} s"
        self.life = on_ready(self.life, time.monotonic())
        self._say(self.spec.name, f"ready in {time.monotonic() - started:.1f} s  {self.spec.address}".rstrip())
        self.first_ready.set()
        await running.ended.wait()
        return running.how_it_ended

    def _start(self) -> Running:
        self._log.forget_tail()
        self._running = Running(self.spec, log=self._log, warden=self._warden)
        return self._running

    async def _becomes_ready(self, running: Running, deadline_s: float) -> bool:
        while not running.ended.is_set() and time.monotonic() < deadline_s:
            ready = await asyncio.to_thread(self.spec.ready, self._log.tail())
            if ready and not running.ended.is_set():
                return True
            await _either(running.ended, running.ended, READY_POLL_S)
        return False

    def _cannot_start(self, reason: str) -> ProcessCannotStart:
        lines = "\n".join(f"  {line}" for line in self._log.tail()) or "  (it wrote nothing)"
        return ProcessCannotStart(f"{self.spec.name} {reason}. The end of {self._log.path}:\n{lines}")


async def _either(one: asyncio.Event, other: asyncio.Event, limit_s: float) -> None:
    """Wait until one of the two is set, or the time is up."""
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
