"""The beginning of a stream: up to its first event, during which it may wait in the queue and says where it stands."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Surface
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.fairness import Place

STATUS_KEPT_S = 1.0
"""Whoever waits in the queue for longer is told so, and with that the status is 200. Errors before keep their own."""

HEARTBEAT_S = 15.0
"""Source: the heartbeat of workers, `gpu_worker.protocol.HEARTBEAT_S`; proxies close what is silent for a minute."""


class Opening:
    """A streamed call that has just been made. Whoever has it closes it, or reads `events` to their end.

    `reference`: see `AnswerGate`.
    """

    def __init__(self, call: Call, *, reference: str | None = None) -> None:
        self._gate = AnswerGate(surface=Surface.API, actor=call.actor, reference=reference)
        self.events = self._gate.events(relay.generate(replace(call, on_place=self._tell)))
        self._changed = asyncio.Event()
        self._place: Place | None = None
        self._first = asyncio.create_task(_first_of(self.events))
        self._first.add_done_callback(lambda task: self._changed.set())

    async def has_begun_or_waits(self) -> None:
        """Until there is a first event, or it is clear that it takes a while. Raises: as `relay.generate`."""
        await asyncio.wait({self._first}, timeout=STATUS_KEPT_S)
        while not self._first.done() and self._place is None:
            await self._changed.wait()
            self._changed.clear()
        if self._first.done():
            self._first.result()

    async def comments(self) -> AsyncGenerator[str, None]:
        """What to say until there is a first event."""
        while not self._first.done():
            if self._place is not None:
                place, self._place = self._place, None
                yield _words(place)
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._changed.wait()
                    self._changed.clear()
            except TimeoutError:
                yield "heartbeat"

    async def first(self) -> WorkerEvent:
        """Raises: as `relay.generate`."""
        return await self._first

    async def aclose(self) -> None:
        """Leave: what has not ended is cancelled at the worker."""
        self._first.cancel()
        await asyncio.wait({self._first})
        if not self._first.cancelled():
            self._first.exception()  # nobody wants to know any more
        await self.events.aclose()
        await self._gate.close()

    async def _tell(self, place: Place) -> None:
        self._place = place
        self._changed.set()


async def _first_of(events: AsyncGenerator[WorkerEvent, None]) -> WorkerEvent:
    event = await anext(events)
    while event is HEARTBEAT:
        event = await anext(events)
    return event


def _words(place: Place) -> str:
    eta = "" if place.eta_s is None else f" eta={max(1, round(place.eta_s))}s"
    return f"queued place={place.number}{eta}"
