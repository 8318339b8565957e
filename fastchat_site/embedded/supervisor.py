"""Keeps the site's processes running: starts them layer by layer, and stops them in reverse.

Decisions are made by `lifecycle`; one process is handled by `child`. All of it runs in the event loop of the main
thread, because the kernel ties a leash to the thread that started the process.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .child import Child, Say
from .errors import DataDirUnusable
from .logs import RotatingLog
from .process import ProcessSpec
from .warden_link import Warden

# The promise is 20 s, for an ordinary stop and for a killed launcher alike; the margin is for the last kill to be seen.
STOP_LIMIT_S = 18.0
WARDEN_LIMIT_S = 15.0
# What a layer leaves to each layer below it (Postgres and Redis need well under a second).
LAYER_RESERVE_S = 3.0


class Supervisor:
    """The processes of one launch; an async context manager, whose exit stops them all."""

    def __init__(
        self,
        log_dir: Path,
        *,
        say: Say,
        stop_limit_s: float = STOP_LIMIT_S,
        warden_limit_s: float = WARDEN_LIMIT_S,
    ) -> None:
        self._log_dir = log_dir
        self._say = say
        self._stop_limit_s = stop_limit_s
        self._layers: list[list[Child]] = []
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self.is_stopping = False
        self._warden = Warden(limit_s=warden_limit_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run right now, by name."""
        return {child.spec.name: child.pid for layer in self._layers for child in layer if child.pid is not None}

    async def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start these side by side as a new layer on top of the others; returns when all are ready.

        Raises:
            ProcessCannotStart: the first that cannot; the others are left to `stop`.
        """
        children = [self._child(spec) for spec in specs]
        self._layers.append(children)
        for child in children:
            self._keepers[child.spec.name] = asyncio.create_task(child.keep_running(), name=child.spec.name)
        await asyncio.gather(*(self._ready_or_failed(child) for child in children))

    async def run_once(self, spec: ProcessSpec) -> None:
        """Run a command to its end on top of the layers so far.

        Raises:
            ProcessCannotStart: it failed.
        """
        child = self._child(spec)
        self._layers.append([child])
        await child.run_to_end()

    async def watch(self) -> None:
        """Wait until this task is cancelled. The keepers never end by themselves: one that does has a bug to show."""
        done, _ = await asyncio.wait(self._keepers.values(), return_when=asyncio.FIRST_COMPLETED)
        for keeper in done:
            keeper.result()
            raise RuntimeError(f"nobody keeps {keeper.get_name()} running any more")

    def hurry(self) -> None:
        """Have no more patience: kill at once what still runs."""
        self._hurry.set()

    async def stop(self) -> None:
        """End all processes, the last layer first, within the limit; returns when none is left."""
        self.is_stopping = True
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        deadline = time.monotonic() + self._stop_limit_s
        while self._layers:
            layer = self._layers.pop()
            limit_s = deadline - time.monotonic() - LAYER_RESERVE_S * len(self._layers)
            await asyncio.gather(*(child.stop(max(0.0, limit_s), self._hurry) for child in reversed(layer)))
        self._warden.dismiss()

    async def _ready_or_failed(self, child: Child) -> None:
        keeper = self._keepers[child.spec.name]
        ready = asyncio.create_task(child.first_ready.wait())
        try:
            await asyncio.wait({keeper, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if keeper.done():
            keeper.result()

    def _child(self, spec: ProcessSpec) -> Child:
        if self.is_stopping:
            # Another task was about to start something just when one failed; nobody would stop it any more.
            raise asyncio.CancelledError
        path = self._log_dir / f"{spec.name}.log"
        try:
            log = RotatingLog(path, complain=lambda words: self._say(spec.name, words))
        except OSError as exc:
            raise DataDirUnusable(f"The log {path} cannot be written: {exc.strerror}.") from exc
        return Child(spec, log=log, warden=self._warden, say=self._say)
