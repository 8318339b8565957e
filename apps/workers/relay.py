"""The way from a request to a worker's answer: wait for a turn, send, fail over, re-attach. `request` keeps the books.

Every call is metered on its way: it may be refused by a limit, and enters the ledger (see `metering`).
What goes wrong before the first event is tried on another worker; after it, the error is raised and what came is kept.
Only what is a worker's own fault is remembered against it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from apps.core.threads import in_thread
from apps.workers import client, selectors
from apps.workers.call import Call
from apps.workers.errors import GenerationGone, WorkerDied
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.metering import metered_answer, metered_follow, metered_stream
from apps.workers.request import TRIED_ELSEWHERE, Request
from apps.workers.target import Target
from apps.workers.transport import TransportFailed

Json = dict[str, Any]
OnAssigned = Callable[[Target], Awaitable[None]]

TAKE_UP_DELAYS_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""A network that is away for some seconds must not end an answer: the worker keeps its events for minutes."""


@metered_stream
async def generate(
    call: Call, *, generation_id: UUID | None = None, on_assigned: OnAssigned | None = None
) -> AsyncGenerator[WorkerEvent, None]:
    """Make a streamed call and yield the worker's events up to the end.

    It waits in the queue of its model until a worker has room. With a `generation_id` the generation lives on its own
    at the worker: leaving this iterator does not cancel it, and a broken connection is taken up again. Without one,
    leaving cancels. `on_assigned` is awaited with each worker that is tried, before it is asked.

    Raises: SiteError subclasses of `apps.workers.errors`.
    """
    body = _body(call) | {"stream": True}
    if generation_id is not None:
        body["generation_id"] = str(generation_id)
    async with aclosing(_attempted(Request(call, generation_id), body, generation_id, on_assigned)) as events:
        async for event in events:
            yield event


async def _attempted(
    request: Request, body: Json, generation_id: UUID | None, on_assigned: OnAssigned | None
) -> AsyncGenerator[WorkerEvent, None]:
    async with request:
        while True:
            target = await request.next_target()
            if on_assigned is not None:
                await on_assigned(target)
            request.asking(target)
            try:
                asked = body | request.prompt_fields
                async with aclosing(client.completion_stream(target, request.path, asked)) as events:
                    async for event in events:
                        if event is not HEARTBEAT:
                            request.saw(event)
                        yield event
            except TRIED_ELSEWHERE as exc:
                await request.note(target, exc)
                if not request.has_begun:
                    continue
                if not isinstance(exc, TransportFailed):
                    raise
                if generation_id is None:
                    raise WorkerDied from exc
                async with aclosing(_taken_up(target, generation_id, exc.after)) as events:
                    async for event in events:
                        yield event
            request.has_answered = True
            return


@metered_answer
async def complete(call: Call) -> Json:
    """Make a call and return the worker's whole answer. Queues and fails over like `generate`."""
    body = _body(call) | {"stream": False}
    async with Request(call) as request:
        while True:
            target = await request.next_target()
            request.asking(target)
            try:
                answer = await client.completion(target, request.path, body | request.prompt_fields)
            except TRIED_ELSEWHERE as exc:
                await request.note(target, exc)
            else:
                request.heard(answer)
                return answer


@metered_follow
async def follow(target: Target, generation_id: UUID, *, after: int = 0) -> AsyncGenerator[WorkerEvent, None]:
    """Attach to a generation that another reader started; yields the events numbered above `after`.

    Raises: GenerationGone, WorkerDied, and what the worker reports.
    """
    try:
        async with aclosing(client.generation_events(target, generation_id, after=after)) as events:
            async for event in events:
                yield event
    except TransportFailed as exc:
        raise WorkerDied from exc


async def cancel(target: Target, generation_id: UUID) -> None:
    """Stop a generation at its worker within one decode step. Raises: WorkerDied."""
    await client.generation_cancel(target, generation_id)


async def target_get(worker_id: int) -> Target:
    """Raises: WorkerDied when the worker's row is gone."""
    return await in_thread(selectors.target_load, worker_id)


def _body(call: Call) -> Json:
    return call.body | {"model": call.model}


async def _taken_up(target: Target, generation_id: UUID, after: int) -> AsyncGenerator[WorkerEvent, None]:
    """Go on after a broken connection, however often it breaks, while each time some events arrive or a try is left.

    Raises: WorkerDied when nobody listens any more, the generation is lost, or the tries are used up.
    """
    delays = iter(TAKE_UP_DELAYS_S)
    while True:
        try:
            async with aclosing(client.generation_events(target, generation_id, after=after)) as events:
                async for event in events:
                    if event is not HEARTBEAT:
                        after, delays = event.number, iter(TAKE_UP_DELAYS_S)
                    yield event
            return
        except GenerationGone as exc:
            raise WorkerDied from exc
        except TransportFailed as exc:
            delay_s = next(delays, None)
            if exc.is_refused or delay_s is None:
                raise WorkerDied from exc
        await asyncio.sleep(delay_s)
