"""One request to the pool, from the queue to its end: whose turn, which worker next, and the books of it.

It sends nothing; that is `relay`. What failed on the way is kept by `trouble`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from apps.core.errors import SiteError
from apps.core.middleware import request_id_var
from apps.core.threads import in_thread, in_thread_or_undone
from apps.workers import selectors
from apps.workers.breaker import Fault
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import (
    AnswerUnreadable,
    ProvidersFull,
    WaitedTooLong,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerRefused,
)
from apps.workers.events import WorkerEvent
from apps.workers.metering.unseen import answer_guess, token_guess, token_guess_of_bytes
from apps.workers.models import PoolRequest
from apps.workers.services import admission, assignments
from apps.workers.services.admission import NOBODY, Entered
from apps.workers.target import Target
from apps.workers.tickets import Ticket, keeper
from apps.workers.transport import TransportFailed
from apps.workers.trouble import Failed, Trouble

TRIED_ELSEWHERE = (TransportFailed, WorkerInternal, WorkerMismatch, WorkerOverloaded)

MAX_ATTEMPTS = 3
"""At different workers, before all of them are given some time."""

DATABASE_AWAY = (OperationalError, InterfaceError)
ENTER_DELAYS_S = (0.5, 1.0, 2.0, 4.0)
RETRY_DELAYS_S = (0.25, 0.5, 1.0)
"""Between rounds of attempts; the last one is repeated."""

logger = logging.getLogger(__name__)


class Request:
    """A request as an async context: inside it has a place in the queue or at a worker, and at the end neither."""

    def __init__(self, call: Call, generation_id: UUID | None = None) -> None:
        self.path = call.path
        self.has_answered = False
        self.n_tokens: int | None = None
        """What it used, once the worker has told."""
        self.prompt_fields: dict[str, str] = {}
        """What goes with the call's body, once it is in the queue."""
        self._call = call
        self._generation_id = generation_id
        self._ticket: Ticket | None = None
        self._is_first = True
        self._retry_delays = _endless(RETRY_DELAYS_S)
        self._tried: set[int] = set()
        self._trouble = Trouble(call.model)
        self._first_event_at: datetime | None = None
        self._counted: Target | None = None
        """The worker against which the request counts."""
        self._may_have_computed = False
        """A provider, which was asked, whether it tells or not."""
        self._n_pieces = 0
        self._answer: dict[str, Any] | None = None
        """A whole one, whose tokens a provider did not tell."""

    async def __aenter__(self) -> Self:
        """Raises: NoWorker, ModelLoading, ModelFailed, QueueFull, PartyQueueFull."""
        # Counting tokens costs a worker nothing, so it does not wait behind answers.
        if self.path is WorkerPath.TOKENIZE:
            prompt_fields = await in_thread(selectors.prompt_fields, self._call.model)
        else:
            entered = await self._entered()
            self._ticket, prompt_fields = keeper().take(entered), entered.prompt_fields
        if "messages" in self._call.body:  # a prompt format is for chats; a text goes to the model as it is
            self.prompt_fields = prompt_fields
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticket is None:
            await self._settle()
            return
        outcome = PoolRequest.ANSWERED if self.has_answered else PoolRequest.LEFT
        if isinstance(error, SiteError):
            outcome = error.code
        elif isinstance(error, Exception):
            outcome = SiteError.code
        # Not settled is also what was admitted at the last moment, so that nobody here has noticed.
        is_settled = not self._is_first and self._counted is None
        end = partial(assignments.request_end, outcome=outcome, is_settled=is_settled, has_answered=self.has_answered)
        kept = partial(end, first_event_at=self._first_event_at, attempts=self._trouble.attempts)
        try:
            await _book(partial(self._end, error, partial(kept, self._ticket.request_id)))
        finally:
            keeper().drop(self._ticket)

    async def next_target(self) -> Target:
        """The worker that the request was admitted to; after that has failed, another one, or the same one restarted.

        Raises: WaitedTooLong; NoWorker, ModelLoading, ModelFailed; WorkerOverloaded, WorkerTimedOut, WorkerUnreachable:
        who was tried.
        """
        if self._is_first and self._ticket is not None:
            target = await self._turn(self._ticket)
            self._is_first = False
            return self._count(target)
        await self._settle()
        for delay_s in self._retry_delays:
            found = await self._looked_for_another()
            if isinstance(found, Target):
                return self._count(found)
            if not self._trouble.may_pass(found, settings.WORKER_PATIENCE_S):
                raise self._trouble.last_word(found)
            await asyncio.sleep(delay_s)
            if self._trouble.are_gone:
                self._tried.clear()
        raise AssertionError("the delays are endless")

    def asking(self, target: Target) -> None:
        """A worker is asked now: from here on it may compute."""
        self._may_have_computed = target.upstream is not None
        if self._call.on_asked is not None:
            self._call.on_asked()

    @property
    def has_begun(self) -> bool:
        return self._first_event_at is not None

    def saw(self, event: WorkerEvent) -> None:
        """An event has come; the first one is the beginning."""
        self._first_event_at = self._first_event_at or timezone.now()
        if self._may_have_computed:
            self._n_pieces += event.n_pieces
        if event.usage is not None:
            self._used(event.usage)

    def heard(self, answer: dict[str, Any]) -> None:
        """A whole answer has come."""
        self.has_answered = True
        self._used(answer.get("usage"))
        if self._may_have_computed and self.n_tokens is None:
            self._answer = answer

    def _used(self, usage: object) -> None:
        """A worker told what the answer used."""
        if isinstance(usage, dict) and isinstance(n_tokens := usage.get("total_tokens"), int):
            self.n_tokens = n_tokens

    def _end(self, error: BaseException | None, end: Callable[..., None]) -> None:
        """Runs in a thread: to guess at the tokens of a long text takes time."""
        end(n_tokens=self._n_tokens_untold(error) if self.n_tokens is None else self.n_tokens)

    def _n_tokens_untold(self, error: BaseException | None) -> int:
        """About what was used of a provider that did not tell, as it does not of an answer that is stopped."""
        is_refused = isinstance(error, WorkerRefused) and not self.has_begun
        if is_refused or not self._may_have_computed:
            return 0
        n_answer = self._n_pieces if self._answer is None else answer_guess(self._answer)
        return token_guess(self._call.prompt) + n_answer

    def _count_lost(self, target: Target, n_bytes: int) -> None:
        """Runs in a thread. A provider has computed what never came whole, or cannot be read, and it counts."""
        n_answer = 0 if self.path is WorkerPath.EMBEDDINGS else token_guess_of_bytes(n_bytes)
        assignments.tokens_count(target.worker_id, token_guess(self._call.prompt) + n_answer)

    async def note(self, target: Target, error: Failed) -> None:
        """Keep the cause for the last error, and hold it against the worker if it is the worker's own fault."""
        cause = self._trouble.note(target, error, timezone.now())
        # What is refused, or never arrived, is not computed. What has begun is counted at its end.
        if not self.has_begun:
            if self._may_have_computed and (isinstance(error, AnswerUnreadable) or cause.fault is Fault.LOST):
                n_bytes = error.n_bytes if isinstance(error, AnswerUnreadable) else 0
                await _book(partial(self._count_lost, target, n_bytes))
            self._may_have_computed = False
        if cause.rest_s is not None:
            await _book(partial(assignments.provider_rest, target.worker_id, cause.rest_s, cause.words))
        if cause.fault is not None:
            await _book(partial(assignments.fault_record, target.worker_id, cause.fault, cause.words))

    def _count(self, target: Target) -> Target:
        self._counted = target
        self._tried.add(target.worker_id)
        return target

    async def _settle(self) -> None:
        """The attempt at a worker is over, and does not count against it any more."""
        if self._counted is not None:
            end = partial(assignments.assignment_end, self._counted.worker_id, has_answered=self.has_answered)
            self._counted = None
            await _book(end)

    async def _entered(self) -> Entered:
        enter = partial(
            admission.request_enter, self._call, trace_id=request_id_var.get(), generation_id=self._generation_id
        )
        for delay_s in (*ENTER_DELAYS_S, None):
            try:
                return await in_thread_or_undone(enter, undo=self._leave)
            except DATABASE_AWAY as exc:
                if delay_s is None:
                    raise
                logger.warning("a request could not be queued, trying again: %s", exc)
                await asyncio.sleep(delay_s)
        raise AssertionError("the last try returns or raises")

    async def _leave(self, entered: Entered) -> None:
        await _book(partial(assignments.request_end, entered.request_id, outcome=PoolRequest.LEFT, is_settled=False))

    async def _turn(self, ticket: Ticket) -> Target:
        """Wait until the request is admitted. Raises: WaitedTooLong."""
        told = None
        try:
            async with asyncio.timeout(settings.QUEUE_WAIT_S):
                while ticket.target is None:
                    ticket.changed.clear()
                    if self._call.on_place is not None and ticket.place is not None and ticket.place != told:
                        told = ticket.place
                        await self._call.on_place(ticket.place)
                    await ticket.changed.wait()
        except TimeoutError as exc:
            raise WaitedTooLong(model=self._call.model, limit_s=round(settings.QUEUE_WAIT_S)) from exc
        return ticket.target

    async def _looked_for_another(self) -> Target | SiteError | None:
        """Another worker, or why there is none; None when all were tried."""
        try:
            return await self._another() if len(self._tried) < MAX_ATTEMPTS else None
        except (*NOBODY, ProvidersFull) as exc:
            return exc

    async def _another(self) -> Target | None:
        model, tried = self._call.model, self._tried
        if self._ticket is None:
            assign = partial(assignments.counter_assign, model, tried=tried)
        else:
            reassign = partial(assignments.request_reassign, self._ticket.request_id, model, tried=tried)
            assign = partial(reassign, prefix_key=self._call.prefix_key)
        return await in_thread_or_undone(assign, undo=self._take_back)

    async def _take_back(self, target: Target | None) -> None:
        if target is not None:
            await _book(partial(assignments.assignment_end, target.worker_id, has_answered=False))


async def _book(write: Callable[[], None]) -> None:
    """Keep the pool's books. While Postgres is away a stream must go on, and each report sets them right."""
    try:
        # A caller that leaves twice must not keep them from being settled.
        await asyncio.shield(in_thread(write))
    except DATABASE_AWAY as exc:
        logger.warning("a request could not be accounted for: %s", exc)


def _endless(delays: tuple[float, ...]) -> Iterator[float]:
    yield from delays
    while True:
        yield delays[-1]
