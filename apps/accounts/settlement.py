"""The end of a call: what it used takes the place of what it held, and is written down, once.

Calls of a group are settled together, when the last of them has ended: until then no counter moves, so that nobody
learns from a meter what one of them used. Counters are locked in the order of their keys, as in `ledger`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Self

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.accounts.models import CallState, Hold, LedgerEntry, Metric, Reservation, UsageCounter
from apps.accounts.quota import Price, Usage


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, and what it used."""

    usage: Usage
    state: CallState
    is_estimated: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"usage": asdict(self.usage), "state": str(self.state), "is_estimated": self.is_estimated}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(Usage(**value["usage"]), CallState(value["state"]), value["is_estimated"])


def call_settle(reservation_pk: int, usage: Usage, state: CallState, *, is_estimated: bool = False) -> bool:
    """Put what was used in the place of what was held, and write it down. False if it had ended before.

    Of a group it is done when all have ended; until then it is kept with the reservation.
    """
    ending = Ending(usage, state, is_estimated)
    with transaction.atomic():
        group = Reservation.objects.filter(pk=reservation_pk, group__isnull=False).values("group")
        together = Reservation.objects.filter(Q(pk=reservation_pk) | Q(group__in=group))
        rows = list(together.select_for_update().order_by("pk"))
        ended = next((row for row in rows if row.pk == reservation_pk and row.ending is None), None)
        if ended is None:
            return False
        ended.ending = ending.to_json()
        if any(row.ending is None for row in rows):
            ended.save(update_fields=["ending"])
        else:
            _settle(rows)
    return True


def price_of(row: Reservation) -> Price:
    return Price(row.input_price, row.cached_input_price, row.output_price)


def _settle(rows: Sequence[Reservation]) -> None:
    """Rows that are locked, and of calls that have ended."""
    endings = {row.pk: Ending.from_json(row.ending) for row in rows if row.ending is not None}
    prices = {row.pk: price_of(row) for row in rows}
    used: defaultdict[int, Decimal] = defaultdict(Decimal)
    held: defaultdict[int, Decimal] = defaultdict(Decimal)
    for hold in Hold.objects.filter(reservation__in=rows).select_related("counter__limit"):
        metric, pk = Metric(hold.counter.limit.metric), hold.reservation_id
        used[hold.counter_id] += endings[pk].usage.of(metric, prices[pk])
        held[hold.counter_id] += hold.amount
    # Locked in this order everywhere; the update below would lock them in whatever order it finds them.
    counters = list(UsageCounter.objects.select_for_update().filter(pk__in=held).order_by("pk"))
    for counter in counters:
        counter.used = F("used") + used[counter.pk]
        counter.reserved = F("reserved") - held[counter.pk]
    UsageCounter.objects.bulk_update(counters, ["used", "reserved"])
    LedgerEntry.objects.bulk_create([_entry(row, endings[row.pk], prices[row.pk]) for row in rows])
    for row in rows:
        row.delete()


def _entry(row: Reservation, ending: Ending, price: Price) -> LedgerEntry:
    usage = ending.usage
    return LedgerEntry(
        user_id=row.user_id,
        api_key_id=row.api_key_id,
        visitor_public_id=row.visitor_public_id,
        model_name=row.model_name,
        endpoint=row.endpoint,
        request_id=row.request_id,
        started_at=row.started_at,
        requests=usage.requests,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        cost=usage.cost(price),
        state=ending.state,
        is_estimated=ending.is_estimated,
        ended_at=Now(),
    )
