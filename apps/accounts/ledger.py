"""Reserve, then settle: with `settlement` the only code that writes what counters count, and the ledger.

A call reserves the most that it may come to use, in every limit that is in force, or is refused. When it has ended,
what it really used takes the place of the reservation, and the ledger gets its row, in one transaction. Counters are
locked in the order of their keys, so calls wait for each other but never in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts import grants
from apps.accounts.actors import Actor
from apps.accounts.counters import counters_ensure, counters_lock
from apps.accounts.errors import LimitExceeded, LimitTooSmall
from apps.accounts.grants import Asked
from apps.accounts.models import CallState, Hold, Limit, Metric, Reservation, UsageCounter
from apps.accounts.quota import FREE, Need, Price, Usage
from apps.accounts.selectors import gauge_of
from apps.accounts.settlement import call_settle
from apps.core.middleware import request_id_var

CALL_LEASE_S = 60
"""A plain call whose reader has not renewed it for so long is lost: its connection to the worker is gone too."""

GENERATION_LEASE_S = 300
"""An answer that outlives its reader may be taken over for as long as a worker keeps it."""

EXPIRED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class CallOpening:
    """A call that wants to begin. `generation_id` is that of an answer that outlives its reader."""

    actor: Actor
    model_name: str
    endpoint: str
    price: Price = FREE
    generation_id: UUID | None = None

    @property
    def lease_s(self) -> int:
        return CALL_LEASE_S if self.generation_id is None else GENERATION_LEASE_S


@dataclass(frozen=True, slots=True)
class Reserved:
    """A call that may begin. The numbers are known if a limit asks for tokens."""

    pk: int
    max_tokens: int | None = None
    """For each choice."""
    max_completion_tokens: int | None = None
    """For all of them together."""
    prompt_tokens: int | None = None


def call_reserve(
    opening: CallOpening, limits: Sequence[Limit], need: Need | None, *, now: datetime | None = None
) -> Reserved:
    """Hold what the call may come to use, in each of `limits`; see `limits_in_force`. `need` is None if none counts
    tokens. An answer that has a reservation, because another process asked for it before, keeps that one.

    Raises: LimitExceeded, LimitTooSmall.
    """
    if (taken_over := _reserved_before(opening)) is not None:
        return taken_over
    now = now or timezone.now()
    try:
        return _reserve(opening, limits, need, now)
    except LimitTooSmall:
        raise
    except LimitExceeded:
        # What is in the way may be held by calls that are lost.
        if reservations_expire() == 0:
            raise
    except IntegrityError:
        # Two processes asked for the same answer at the same moment.
        if (taken_over := _reserved_before(opening)) is not None:
            return taken_over
        raise
    return _reserve(opening, limits, need, now)


@dataclass(frozen=True, slots=True)
class Together:
    """One of the calls that are let in together, with what `call_reserve` is told about one."""

    opening: CallOpening
    limits: Sequence[Limit]
    need: Need | None


def calls_reserve_together(calls: Sequence[Together], *, now: datetime | None = None) -> bool:
    """Hold what all of them may come to use, or nothing; answers that a limit shortens are shortened alike.

    They are settled together too. False if one of them was reserved before: then each goes its own way.

    Raises: LimitExceeded, LimitTooSmall.
    """
    now = now or timezone.now()
    try:
        return _reserve_together(calls, now)
    except LimitTooSmall:
        raise
    except LimitExceeded:
        # What is in the way may be held by calls that are lost.
        if reservations_expire() == 0:
            raise
    except IntegrityError:
        return False  # a process that reads one of them was quicker
    return _reserve_together(calls, now)


def generation_adopt(generation_id: UUID) -> int | None:
    """The open reservation of an answer that somebody else began, kept from expiring; None if it is settled."""
    pk = Reservation.objects.filter(generation_id=generation_id).values_list("pk", flat=True).first()
    if pk is not None:
        reservations_renew([pk])
    return pk


def generation_lose(generation_id: UUID) -> None:
    """The answer has ended and nobody heard what it used: settle it by rule, if nobody has settled it."""
    for row in Reservation.objects.filter(generation_id=generation_id):
        _settle_lost(row)


def generation_forgo(generation_id: UUID) -> None:
    """The answer was given up before any worker was asked for it: nothing was used, and it is no request."""
    for row in Reservation.objects.filter(generation_id=generation_id):
        call_settle(row.pk, Usage(requests=0), CallState.STOPPED)


def reservations_renew(pks: Sequence[int]) -> None:
    """The calls are still being read. By the database's clock, because several machines read."""
    for is_generation, lease_s in ((False, CALL_LEASE_S), (True, GENERATION_LEASE_S)):
        Reservation.objects.filter(pk__in=pks, generation_id__isnull=not is_generation).update(
            expires_at=Now() + timedelta(seconds=lease_s)
        )


def reservations_expire(limit: int = EXPIRED_AT_ONCE) -> int:
    """Settle calls that were lost, by rule: as if they had used all that they might have. Return how many.

    So a limit is never exceeded. Of a call whose tokens no limit counted nobody knows anything, so it has none.
    """
    lost = Reservation.objects.filter(expires_at__lt=Now(), ending__isnull=True).order_by("expires_at")[:limit]
    return sum(map(_settle_lost, lost))


def _settle_lost(row: Reservation) -> bool:
    usage = Usage(row.prompt_tokens or 0, row.max_completion_tokens or 0)
    return call_settle(row.pk, usage, CallState.LOST, is_estimated=True)


def _reserve(opening: CallOpening, limits: Sequence[Limit], need: Need | None, now: datetime) -> Reserved:
    while True:
        if not limits:
            return _held(opening, [], need, now)
        pks = counters_ensure(limits, opening.actor, now)
        with transaction.atomic():
            counters = counters_lock(pks)
            if len(counters) == len(limits):
                return _held(opening, counters, need, now)
        # A counter that no call held was forgotten in between, or its limit deleted: without it nothing would be kept.
        limits = list(Limit.objects.filter(pk__in=[limit.pk for limit in limits]))


def _held(opening: CallOpening, counters: list[UsageCounter], need: Need | None, now: datetime) -> Reserved:
    """Reserve in counters that are locked."""
    gauges = [gauge_of(counter.limit, counter, now) for counter in counters]
    max_tokens = grants.grant(gauges, need, opening.price, now)
    bound = None if need is None or max_tokens is None else need.bound(max_tokens)
    row = _reservation(opening, bound, now)
    row.save(force_insert=True)
    _hold(row, counters, bound, opening.price)
    return Reserved(row.pk, max_tokens, row.max_completion_tokens, row.prompt_tokens)


def _hold(row: Reservation, counters: Sequence[UsageCounter], bound: Usage | None, price: Price) -> None:
    holds = [
        Hold(
            reservation=row,
            counter=counter,
            amount=grants.reserved_amount(Metric(counter.limit.metric), bound, price),
        )
        for counter in counters
    ]
    Hold.objects.bulk_create(holds)
    for hold in holds:
        hold.counter.reserved = F("reserved") + hold.amount
    UsageCounter.objects.bulk_update(counters, ["reserved"])


def _reserve_together(calls: Sequence[Together], now: datetime) -> bool:
    pks = [counters_ensure(call.limits, call.opening.actor, now) for call in calls]
    with transaction.atomic():
        counters = {counter.pk: counter for counter in counters_lock(sorted(set().union(*pks)))}
        if any(pk not in counters for of_call in pks for pk in of_call):
            return False  # one was forgotten in between: each makes its own
        gauges = {pk: gauge_of(counter.limit, counter, now) for pk, counter in counters.items()}
        asked = [
            Asked({pk: gauges[pk] for pk in of_call}, call.need, call.opening.price)
            for call, of_call in zip(calls, pks, strict=True)
        ]
        group, granted = uuid4(), grants.grant_together(asked, now)
        for call, of_call, max_tokens in zip(calls, pks, granted, strict=True):
            bound = None if call.need is None or max_tokens is None else call.need.bound(max_tokens)
            row = _reservation(call.opening, bound, now)
            row.group = group
            row.save(force_insert=True)
            _hold(row, [counters[pk] for pk in of_call], bound, call.opening.price)
    return True


def _reserved_before(opening: CallOpening) -> Reserved | None:
    if opening.generation_id is None:
        return None
    row = Reservation.objects.filter(generation_id=opening.generation_id).first()
    if row is None:
        return None
    reservations_renew([row.pk])
    # An answer that outlives its reader has one choice.
    return Reserved(row.pk, row.max_completion_tokens, row.max_completion_tokens, row.prompt_tokens)


def _reservation(opening: CallOpening, bound: Usage | None, now: datetime) -> Reservation:
    return Reservation(
        user_id=opening.actor.user_id,
        api_key_id=opening.actor.api_key_id,
        visitor_public_id=opening.actor.visitor_public_id,
        model_name=opening.model_name,
        endpoint=opening.endpoint,
        request_id=request_id_var.get(),
        started_at=now,
        generation_id=opening.generation_id,
        prompt_tokens=None if bound is None else bound.prompt_tokens,
        max_completion_tokens=None if bound is None else bound.completion_tokens,
        input_price=opening.price.input,
        cached_input_price=opening.price.cached_input,
        output_price=opening.price.output,
        expires_at=Now() + timedelta(seconds=opening.lease_s),
    )
