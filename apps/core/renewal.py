"""Keeps rows that are this process's business from expiring: one statement for all of them, as long as there are any.

A process that dies stops doing so, and that is how what it was doing is found to be lost.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError

from apps.core.threads import in_thread

logger = logging.getLogger(__name__)


class Renewal:
    """Rows of one kind. `renew` gets the keys of all that are open; `what` names them in the log."""

    def __init__(self, renew: Callable[[Sequence[int]], None], *, every_s: float, what: str) -> None:
        self._renew = renew
        self._every_s = every_s
        self._what = what
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Open] = WeakKeyDictionary()

    def keep(self, pk: int) -> None:
        """Renew this row until `let_go`."""
        rows = self._of_this_loop()
        rows.pks.add(pk)
        if rows.task is None:
            rows.task = asyncio.create_task(self._run(rows), name=f"renew {self._what}")

    def let_go(self, pk: int) -> None:
        rows = self._of_this_loop()
        rows.pks.discard(pk)
        if not rows.pks and rows.task is not None:
            rows.task.cancel()
            rows.task = None

    def _of_this_loop(self) -> "_Open":
        return self._open.setdefault(asyncio.get_running_loop(), _Open())

    async def _run(self, rows: "_Open") -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await in_thread(self._renew, list(rows.pks))
            except (OperationalError, InterfaceError) as exc:
                logger.warning("%d %s could not be renewed, trying again: %s", len(rows.pks), self._what, exc)


class _Open:
    """The open rows of one event loop, and the task that renews them while there are any."""

    def __init__(self) -> None:
        self.pks: set[int] = set()
        self.task: asyncio.Task[None] | None = None
