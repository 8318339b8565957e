"""Rows of counters: those of the present windows are found or made and locked, those of long ago are dropped.

What they count is `ledger`'s business.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts import quota
from apps.accounts.actors import Actor
from apps.accounts.models import Limit, Period, UsageCounter
from apps.accounts.selectors import subject_of

KEPT = {
    Period.MINUTE: timedelta(hours=1),
    Period.DAY: timedelta(days=7),
    Period.MONTH: timedelta(days=62),
    Period.AT_ONCE: timedelta(0),
}
"""For how long after its beginning a window's counter stays. What is counted at once begins long ago and never ends."""

FORGOTTEN_AT_ONCE = 1000


def counters_ensure(limits: Sequence[Limit], actor: Actor, now: datetime) -> list[int]:
    """The keys of the present windows' counters, made if this call is the first in one."""
    if not limits:
        return []
    wanted = {
        (limit.pk, subject_of(limit, actor), quota.window_start(Period(limit.period), now)): limit for limit in limits
    }
    found = _counters_find(wanted)
    if missing := sorted(wanted.keys() - found.keys()):
        UsageCounter.objects.bulk_create(
            (UsageCounter(limit_id=pk, subject=subject, starts_at=start) for pk, subject, start in missing),
            ignore_conflicts=True,
        )
        found = _counters_find(wanted)
    return list(found.values())


def _counters_find(wanted: dict[tuple[int, str, datetime], Limit]) -> dict[tuple[int, str, datetime], int]:
    any_of = Q()
    for pk, subject, start in wanted:
        any_of |= Q(limit_id=pk, subject=subject, starts_at=start)
    rows = UsageCounter.objects.filter(any_of).values_list("limit_id", "subject", "starts_at", "pk")
    return {(limit_pk, subject, start): pk for limit_pk, subject, start, pk in rows}


def counters_lock(pks: Sequence[int]) -> list[UsageCounter]:
    """In the order of their keys, with all that a refusal names."""
    locked = UsageCounter.objects.select_for_update(of=("self",)).filter(pk__in=pks).order_by("pk")
    return list(locked.select_related("limit__user", "limit__group", "limit__api_key"))


def counters_forget() -> None:
    """Drop counters of windows that ended long ago and that no call holds; the ledger keeps what was used."""
    for period, kept in KEPT.items():
        idle = UsageCounter.objects.filter(
            limit__period=period, starts_at__lt=timezone.now() - kept, holds__isnull=True
        ).order_by("pk")
        while pks := list(idle.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
            if not _counters_drop(pks):
                break  # calls hold them by now


def _counters_drop(pks: Sequence[int]) -> int:
    """Those of them that no call holds. A call that is about to hold one finds it gone, and makes another."""
    with transaction.atomic():
        locked = UsageCounter.objects.select_for_update(skip_locked=True).filter(pk__in=pks)
        still_idle = UsageCounter.objects.filter(pk__in=[counter.pk for counter in locked], holds__isnull=True)
        return still_idle.delete()[0]
