"""The way from a request to a worker's answer: choose, send, fail over, re-attach, and count all of it.

Every call is metered on its way: it may be refused by a limit, and enters the ledger (see `metering`).
What goes wrong before the first event is tried on another worker; after it, the error is raised and what came is kept.
Only what is a worker's own fault is remembered against it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError

from apps.core.threads import in_thread
from apps.workers import client, selectors
from apps.workers.breaker import Fault
from apps.workers.call import Call
from apps.workers.client import TransportFailed
from apps.workers.errors import (
    GenerationGone,
    ModelFailed,
    ModelLoading,
    NoWorker,
    WorkerDied,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerUnreachable,
)
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.metering import metered_answer, metered_follow, metered_stream
from apps.workers.services import assignments
from apps.workers.target import Target

Json = dict[str, Any]
OnAssigned = Callable[[Target], Awaitable[None]]

MAX_ATTEMPTS = 3
TRIED_ELSEWHERE = (TransportFailed, WorkerInternal, WorkerMismatch, WorkerOverloaded)
Failed = TransportFailed | WorkerInternal | WorkerMismatch | WorkerOverloaded
TAKE_UP_DELAYS_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""A network that is away for some seconds must not end an answer: the worker keeps its events for minutes."""

logger = logging.getLogger(__name__)


@metered_stream
async def generate(
    call: Call, *, generation_id: UUID | None = None, on_assigned: OnAssigned | None = None
) -> AsyncGenerator[WorkerEvent, None]:
    """Make a streamed call and yield the worker's events up to the end.

    With a `generation_id` the generation lives on its own at the worker: leaving this iterator does not cancel it, and
    a broken connection is taken up again. Without one, leaving cancels. `on_assigned` is awaited with each worker that
    is tried, before it is asked.

    Raises: SiteError subclasses of `apps.workers.errors`.
    """
    body = await _body(call) | {"stream": True}
    if generation_id is not None:
        body["generation_id"] = str(generation_id)
    attempts = _Attempts(call)
    while True:
        target = await attempts.next_target()
        started = has_answered = False
        try:
            if on_assigned is not None:
                await on_assigned(target)
            async with aclosing(client.completion_stream(target, call.path, body)) as events:
                async for event in events:
                    started = started or event is not HEARTBEAT
                    yield event
            has_answered = True
            return
        except TRIED_ELSEWHERE as exc:
            await attempts.note(target, exc)
            if not started:
                continue
            if not isinstance(exc, TransportFailed):
                raise
            if generation_id is None:
                raise WorkerDied from exc
            async with aclosing(_taken_up(target, generation_id, exc.after)) as events:
                async for event in events:
                    yield event
            has_answered = True
            return
        finally:
            await _count(partial(assignments.assignment_end, has_answered=has_answered), target)


@metered_answer
async def complete(call: Call) -> Json:
    """Make a call and return the worker's whole answer. Fails over like `generate`."""
    body = await _body(call) | {"stream": False}
    attempts = _Attempts(call)
    while True:
        target = await attempts.next_target()
        has_answered = False
        try:
            answer = await client.completion(target, call.path, body)
            has_answered = True
            return answer
        except TRIED_ELSEWHERE as exc:
            await attempts.note(target, exc)
        finally:
            await _count(partial(assignments.assignment_end, has_answered=has_answered), target)


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


class _Attempts:
    """Which workers were tried for one request, and why each failed."""

    def __init__(self, call: Call) -> None:
        self._model = call.model
        self._begin = partial(assignments.assignment_begin, call.model, prefix_key=call.prefix_key)
        self._failures: list[str] = []
        self._tried: set[int] = set()
        self._overloaded: WorkerOverloaded | None = None

    async def next_target(self) -> Target:
        """Raises: NoWorker, ModelLoading, ModelFailed; WorkerOverloaded, WorkerUnreachable when enough were tried."""
        if len(self._tried) >= MAX_ATTEMPTS:
            raise self._give_up()
        try:
            target = await self._assigned()
        except (NoWorker, ModelLoading, ModelFailed) as exc:
            # The workers that failed have left meanwhile; why they failed says more.
            raise (self._give_up() if self._failures else exc) from None
        if target is None:
            raise self._give_up()
        self._tried.add(target.worker_id)
        return target

    async def _assigned(self) -> Target | None:
        assigning = asyncio.ensure_future(in_thread(self._begin, tried=self._tried))
        try:
            return await asyncio.shield(assigning)
        except asyncio.CancelledError:
            # The caller left while the thread was counting: wait for it, and take the count back.
            await asyncio.wait([assigning])
            if assigning.exception() is None and (target := assigning.result()) is not None:
                await _count(partial(assignments.assignment_end, has_answered=False), target)
            raise

    async def note(self, target: Target, error: Failed) -> None:
        """Keep the cause for the last error, and hold it against the worker if it is the worker's own fault."""
        fault: Fault | None = None
        match error:
            case TransportFailed():
                cause, fault = str(error), error.fault
            case WorkerInternal():
                cause, fault = str(error.details["reason"]), Fault.INTERNAL
            case WorkerMismatch():
                cause = str(error.details["reason"])
            case WorkerOverloaded():
                self._overloaded = WorkerOverloaded(model=self._model, retry_after_s=error.details["retry_after_s"])
                cause = "queue full"
        if fault is not None:
            await _count(partial(assignments.fault_record, fault=fault, words=cause), target)
        self._failures.append(f"worker {target.worker_id}: {cause}")

    def _give_up(self) -> WorkerOverloaded | WorkerUnreachable:
        logger.warning("no worker took a request for %s: %s", self._model, "; ".join(self._failures))
        # A full queue is the better news of the two: somebody is there.
        return self._overloaded or WorkerUnreachable(model=self._model, attempts="; ".join(self._failures))


async def _body(call: Call) -> Json:
    body = call.body | {"model": call.model}
    if "messages" not in body:
        return body  # a prompt format is for chats; a text goes to the model as it is
    return body | await in_thread(selectors.prompt_fields, call.model)


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


async def _count(service: Callable[[int], None], target: Target) -> None:
    """Keep the pool's books. While Postgres is away a stream must go on, and each report sets them right."""
    try:
        # A caller that leaves twice must not keep the count from being settled.
        await asyncio.shield(in_thread(service, target.worker_id))
    except (OperationalError, InterfaceError) as exc:
        logger.warning("worker %s could not be accounted for: %s", target.worker_id, exc)
