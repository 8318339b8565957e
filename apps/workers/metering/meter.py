"""One call's reservation in this process, what was seen of its usage, and what is settled at its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError

from apps.accounts import ledger, settlement
from apps.accounts.ledger import CallOpening, Reserved
from apps.accounts.models import CallState, Limit
from apps.accounts.quota import Usage
from apps.accounts.selectors import counts_tokens, key_check, limits_in_force
from apps.catalog.selectors import price_get
from apps.core.errors import SiteError
from apps.core.threads import in_thread
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import WorkerRefused
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.metering import counting, renewal
from apps.workers.metering.unseen import answer_guess
from gpu_worker.protocol import FinishReason

T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)
SETTLE_DELAYS_S = (0.5, 1, 2, 4, 8)
WAIT_FOR_SETTLING_S = 2.0
"""An answer's end is not held up for longer by a database that is away; settling goes on behind it."""

logger = logging.getLogger(__name__)

_settling: set["asyncio.Task[None]"] = set()
"""Kept here because an event loop has only weak references to its tasks."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is written down for a call."""

    usage: Usage
    is_estimated: bool = False


NOTHING = Settlement(Usage())
NOT_EVEN_ASKED = Settlement(Usage(requests=0))


async def meter_open(call: Call, generation_id: UUID | None) -> "tuple[Meter, Call]":
    """Reserve, and return the call as it may be sent: with `max_tokens` where a limit leaves fewer than fit.

    Raises: KeyInvalid, EndpointNotAllowed, ModelNotAllowed; LimitExceeded; what counting the prompt raises.
    """
    reserved, need = await _reserve(partial(_open, call, generation_id)), None
    if isinstance(reserved, _Unreserved):
        need = await counting.need_of(call)
        reserved = await _reserve(partial(ledger.call_reserve, reserved.opening, reserved.limits, need))
    is_exact = need is None or need.is_exact
    told = reserved if is_exact else replace(reserved, prompt_tokens=None)
    meter = Meter(told, call, outlives_reader=generation_id is not None)
    call = replace(call, on_asked=meter.asked)
    if reserved.max_tokens and (need is None or need.may_shorten):
        call = replace(call, body=counting.shortened(call, reserved.max_tokens))
    return meter, call


async def meter_adopt(generation_id: UUID) -> "Meter | None":
    """The meter of an answer that another reader began; None if it is settled."""
    try:
        pk = await in_thread(ledger.generation_adopt, generation_id)
    except DATABASE_AWAY as exc:
        logger.warning("generation %s is read without its reservation: %s", generation_id, exc)
        return None
    return None if pk is None else Meter(Reserved(pk), None, outlives_reader=True)


class Meter:
    """Made by `meter_open` and `meter_adopt`. Exactly one of its ways to end must be called."""

    def __init__(self, reserved: Reserved, call: Call | None, *, outlives_reader: bool) -> None:
        self._reserved = reserved
        self._call = call
        self._outlives_reader = outlives_reader
        self._usage: Usage | None = None
        self._n_pieces = 0
        self._answer: dict[str, Any] | None = None
        """A whole one, whose usage was not told."""
        self._was_cancelled = False
        self._was_asked = False
        renewal.keep(reserved.pk)

    def asked(self) -> None:
        """A worker is about to be asked."""
        self._was_asked = True

    def see(self, event: WorkerEvent) -> bool:
        """Take note of an event. True for the one that tells the usage and nothing else."""
        if event is HEARTBEAT:
            return False
        choices = event.body.get("choices") or []
        self._n_pieces += event.n_pieces
        self._was_cancelled |= any(choice.get("finish_reason") == FinishReason.CANCELLED for choice in choices)
        self.see_usage(event.usage)
        return event.usage is not None and not choices

    def see_answer(self, answer: dict[str, Any]) -> None:
        """Take note of a whole answer."""
        self.see_usage(answer.get("usage"))
        if self._usage is None:
            self._answer = answer

    def see_usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            details = usage.get("prompt_tokens_details")
            cached = details.get("cached_tokens") if isinstance(details, dict) else 0
            n_prompt = _count(usage.get("prompt_tokens"))
            self._usage = Usage(n_prompt, _count(usage.get("completion_tokens")), min(_count(cached), n_prompt))

    def release(self) -> None:
        """Leave the reservation to others."""
        renewal.let_go(self._reserved.pk)

    async def ended(self) -> None:
        """The answer came to its end."""
        await self._settle(self._delivered, CallState.STOPPED if self._was_cancelled else CallState.COMPLETE)

    async def left(self) -> None:
        """Whoever read the stream has gone."""
        if self._outlives_reader and self._usage is None:
            self.release()
        else:
            await self._leave(self._delivered)

    async def left_unheard(self) -> None:
        """Whoever waited for a whole answer has gone."""
        await self._leave(self._unheard)

    async def _leave(self, find: Callable[[], Awaitable[Settlement]]) -> None:
        never_asked = partial(_as_it_is, NOT_EVEN_ASKED)
        await self._settle(find if self._was_asked else never_asked, CallState.STOPPED)

    async def failed(self, error: SiteError) -> None:
        if self._n_pieces or self._usage is not None:
            await self._settle(self._delivered, CallState.FAILED)
        elif isinstance(error, WorkerRefused):
            await self._settle(partial(_as_it_is, NOTHING), CallState.REFUSED)
        else:
            await self._settle(partial(_as_it_is, NOT_EVEN_ASKED), CallState.FAILED)

    @property
    def _asks_a_model(self) -> bool:
        return self._call is None or self._call.path is not WorkerPath.TOKENIZE

    async def _delivered(self) -> Settlement:
        if not self._asks_a_model:
            return NOTHING
        if self._usage is not None:
            return Settlement(self._usage)
        n_answer = self._n_pieces if self._answer is None else await asyncio.to_thread(answer_guess, self._answer)
        return Settlement(Usage(await self._prompt_tokens(), n_answer), is_estimated=True)

    async def _unheard(self) -> Settlement:
        """Nothing is heard of a whole answer before its end, so any part of it may have been written."""
        if not self._asks_a_model:
            return NOTHING
        most = self._reserved.max_completion_tokens or 0
        return Settlement(Usage(await self._prompt_tokens(), most), is_estimated=True)

    async def _prompt_tokens(self) -> int:
        if self._reserved.prompt_tokens is not None or self._call is None:
            return self._reserved.prompt_tokens or 0
        try:
            return await counting.prompt_tokens(self._call)
        except (SiteError, *DATABASE_AWAY) as exc:
            logger.warning("the prompt of an unfinished call could not be counted: %s", exc)
            return 0

    async def _settle(self, find: Callable[[], Awaitable[Settlement]], state: CallState) -> None:
        """In a task of its own, because whoever asked may be leaving; wait for it, but not for ever."""
        task = asyncio.create_task(self._settle_in_the_end(find, state))
        _settling.add(task)
        task.add_done_callback(_settling.discard)
        await asyncio.wait({task}, timeout=WAIT_FOR_SETTLING_S)

    async def _settle_in_the_end(self, find: Callable[[], Awaitable[Settlement]], state: CallState) -> None:
        try:
            found = await find()
            settle = partial(
                settlement.call_settle, self._reserved.pk, found.usage, state, is_estimated=found.is_estimated
            )
            if not await _tried_until_it_works(settle):
                logger.error("reservation %s is left to expire: the database is away", self._reserved.pk)
        finally:
            self.release()


@dataclass(frozen=True, slots=True)
class _Unreserved:
    """A call whose tokens must be counted first, because a limit asks for them."""

    opening: CallOpening
    limits: list[Limit]


def _open(call: Call, generation_id: UUID | None) -> Reserved | _Unreserved:
    key_check(call.actor, endpoint=call.endpoint, model_name=call.model)
    price = price_get(call.model) if call.offered is None else call.offered.price
    opening = CallOpening(call.actor, call.model, call.endpoint, price, generation_id)
    limits = limits_in_force(call.actor, call.model)
    call.limits[:] = limits
    return _Unreserved(opening, limits) if counts_tokens(limits) else ledger.call_reserve(opening, limits, None)


async def _reserve(reserve: Callable[[], T]) -> T:
    """Whoever asked may leave while the reservation is being made: then it is given back when it is there."""
    reserving = asyncio.ensure_future(in_thread(reserve))
    try:
        return await asyncio.shield(reserving)
    except asyncio.CancelledError:
        reserving.add_done_callback(_give_back)
        raise


def _give_back(reserving: "asyncio.Future[Any]") -> None:
    if reserving.cancelled() or reserving.exception() is not None:
        return
    reserved = reserving.result()
    if not isinstance(reserved, Reserved):
        return
    settle = partial(settlement.call_settle, reserved.pk, NOT_EVEN_ASKED.usage, CallState.STOPPED)
    task = asyncio.ensure_future(_given_back(settle))
    _settling.add(task)
    task.add_done_callback(_settling.discard)


async def _given_back(settle: Callable[[], bool]) -> None:
    await _tried_until_it_works(settle)


async def _tried_until_it_works(settle: Callable[[], bool]) -> bool:
    for delay_s in (*SETTLE_DELAYS_S, None):
        try:
            await in_thread(settle)
            return True
        except DATABASE_AWAY as exc:
            logger.warning("a call could not be settled: %s", exc)
        if delay_s is not None:
            await asyncio.sleep(delay_s)
    return False


async def _as_it_is(settlement: Settlement) -> Settlement:
    return settlement


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
