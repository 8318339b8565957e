"""Forget what is over: kind by kind, a few rows in each transaction, counted by day. Again does no harm."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.privacy.models import ForgottenCount, Kept, RetentionPeriod
from apps.privacy.retained import RETAINED, Retained

SLICE_S = 300.0
"""Then another job gets its turn; the next run goes on."""


@dataclass(frozen=True, slots=True)
class Due:
    """A kind that has a period. `period` in words."""

    retained: Retained
    period: str
    end: datetime

    def count(self) -> int:
        return self.retained.over(self.end).count()


def retention_due() -> list[Due]:
    """Every kind that is not kept for ever, in the order in which it is taken."""
    return list(_due(timezone.now()))


def retention_run(*, slice_s: float = SLICE_S) -> dict[Kept, int]:
    """Take all that is over, as far as the time allows; return how many rows of each kind."""
    ends_at = monotonic() + slice_s
    taken: dict[Kept, int] = {}
    for due in retention_due():
        kind = due.retained.kind
        while n_rows := due.retained.take(due.retained.over(due.end)):
            taken[kind] = taken.get(kind, 0) + n_rows
            _count(kind, n_rows)
            if monotonic() > ends_at:
                return taken
    return taken


def _due(now: datetime) -> Iterator[Due]:
    days_of = dict(RetentionPeriod.objects.values_list("kind", "days"))
    for retained in RETAINED:
        if retained.setting:
            n_days = getattr(settings, retained.setting, None)
            yield Due(retained, retained.setting if n_days is None else f"{n_days} days", now)
        elif (days := days_of.get(retained.kind)) is not None:
            yield Due(retained, f"{days} days", now - timedelta(days=days))


def _count(kind: Kept, n_rows: int) -> None:
    today = timezone.now().astimezone(UTC).date()
    count, _ = ForgottenCount.objects.get_or_create(day=today, kind=kind)
    ForgottenCount.objects.filter(pk=count.pk).update(n_rows=F("n_rows") + n_rows)
