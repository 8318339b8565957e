"""This process's requests in the queue: they are renewed while it lives, and told where they stand.

One task per event loop looks into the queue for all of them; it ends when there are none.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError

from apps.core.threads import in_thread
from apps.workers.fairness import Place
from apps.workers.services import admission
from apps.workers.services.admission import Entered
from apps.workers.target import Target

LOOK_EVERY_S = 0.3
"""A place that another process gave to a request of ours is noticed within this time."""

RENEW_EVERY_S = 5.0

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Ticket:
    """A request that waits or runs."""

    request_id: int
    model_id: int
    target: Target | None
    place: Place | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, news: Target | Place) -> None:
        if isinstance(news, Target):
            self.target = news
        elif news == self.place:
            return
        else:
            self.place = news
        self.changed.set()


class Keeper:
    """The tickets of one event loop."""

    def __init__(self) -> None:
        self._tickets: set[Ticket] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def take(self, entered: Entered) -> Ticket:
        ticket = Ticket(entered.request_id, entered.model_id, entered.target)
        self._tickets.add(ticket)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="queue")
        self._wake.set()
        return ticket

    def drop(self, ticket: Ticket) -> None:
        """It has ended: whoever waits may be next."""
        self._tickets.discard(ticket)
        self._wake.set()

    async def _run(self) -> None:
        renew_at = time.monotonic() + RENEW_EVERY_S
        while self._tickets:
            self._wake.clear()
            try:
                # First: a look takes what was not renewed for requests of a process that died.
                if time.monotonic() >= renew_at:
                    await in_thread(admission.requests_renew, [ticket.request_id for ticket in self._tickets])
                    renew_at = time.monotonic() + RENEW_EVERY_S
                await self._look()
            except (OperationalError, InterfaceError) as exc:
                logger.warning("the queue cannot be looked at, trying again: %s", exc)
            except Exception:  # without this task nobody here would ever get a turn
                logger.exception("the queue cannot be looked at, trying again")
            else:
                await self._woken()
                continue
            renew_at = time.monotonic()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _woken(self) -> None:
        """Wait until somebody comes or goes, or it is time to look or renew."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S if self._waiting() else RENEW_EVERY_S):
                await self._wake.wait()

    def _waiting(self) -> list[Ticket]:
        return [ticket for ticket in self._tickets if ticket.target is None]

    async def _look(self) -> None:
        by_model: dict[int, list[Ticket]] = {}
        for ticket in self._waiting():
            by_model.setdefault(ticket.model_id, []).append(ticket)
        for model_id, tickets in by_model.items():
            seen = await in_thread(admission.queue_look, model_id, [ticket.request_id for ticket in tickets])
            for ticket in tickets:
                if (news := seen.get(ticket.request_id)) is not None:
                    ticket.tell(news)


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, Keeper] = WeakKeyDictionary()


def keeper() -> Keeper:
    """The running event loop's."""
    return _keepers.setdefault(asyncio.get_running_loop(), Keeper())
