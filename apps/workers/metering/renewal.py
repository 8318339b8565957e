"""Keeps this process's open reservations from expiring: one statement for all of them, four times a lease.

A process that dies stops doing so, and that is how its calls are found to be lost.
"""

import asyncio
import logging
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError

from apps.accounts.ledger import CALL_LEASE_S, reservations_renew
from apps.core.threads import in_thread

RENEW_EVERY_S = CALL_LEASE_S / 4

logger = logging.getLogger(__name__)


class _Renewal:
    """The reservations of one event loop, and the task that renews them while there are any."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, pk: int) -> None:
        self._open.add(pk)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="renew reservations")

    def discard(self, pk: int) -> None:
        self._open.discard(pk)
        if not self._open and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await in_thread(reservations_renew, list(self._open))
            except (OperationalError, InterfaceError) as exc:
                logger.warning("%d reservations could not be renewed, trying again: %s", len(self._open), exc)


_renewals: WeakKeyDictionary[asyncio.AbstractEventLoop, _Renewal] = WeakKeyDictionary()


def keep(pk: int) -> None:
    """Renew this reservation until `let_go`."""
    _renewals.setdefault(asyncio.get_running_loop(), _Renewal()).add(pk)


def let_go(pk: int) -> None:
    _renewals.setdefault(asyncio.get_running_loop(), _Renewal()).discard(pk)
