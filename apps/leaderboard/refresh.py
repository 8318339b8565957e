"""Keep boards up to date by themselves: look whether votes have come or changed, and only then make the board anew.

A refusal keeps the old board, and is written down for the admin.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from apps.arena.models import Arena, Vote
from apps.leaderboard.chart_services import charts_draw
from apps.leaderboard.errors import BoardOvertaken, RatingRefused
from apps.leaderboard.increments import snapshot_extend
from apps.leaderboard.models import Refresh, Snapshot, VoteTally
from apps.leaderboard.services import snapshot_rebuild
from apps.leaderboard.tallies import IN_FULL_AFTER

BUSY = timedelta(hours=1)
"""Longer than a board of millions of votes takes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a refresh did."""

    snapshot: Snapshot | None
    n_charts: int


def board_refresh(arena: Arena) -> Outcome | None:
    """Make the board as it was made before, and what its charts lack. None if somebody else is at it."""
    now = timezone.now()
    refresh = _claim(arena, now)
    if refresh is None:
        return None
    snapshot = None
    try:
        if _is_due(refresh, now):
            snapshot = _build(refresh, now)
        return Outcome(snapshot, charts_draw(arena))
    finally:
        # Not the claim of somebody who took this one for gone.
        Refresh.objects.filter(pk=refresh.pk, busy_until=refresh.busy_until).update(busy_until=None)


def _claim(arena: Arena, now: datetime) -> Refresh | None:
    refresh, _ = Refresh.objects.get_or_create(arena=arena)
    is_free = Q(busy_until=None) | Q(busy_until__lt=now)
    refresh.busy_until = now + BUSY
    return refresh if Refresh.objects.filter(is_free, pk=refresh.pk).update(busy_until=refresh.busy_until) else None


def _is_due(refresh: Refresh, now: datetime) -> bool:
    """In a time that does not grow with the votes that there were.

    Changes are counted and not dated: one that was made before the last try began may be stored only after its end.
    """
    if refresh.tried_at is None or refresh.tried_at < now - IN_FULL_AFTER:
        return True
    if VoteTally.objects.filter(arena=refresh.arena_id, base__created_at__lt=now - IN_FULL_AFTER).exists():
        return True
    if refresh.n_changes != refresh.seen_changes:
        return True
    votes = Vote.objects.filter(battle__arena=refresh.arena_id, battle__is_anonymous=True)
    return votes.filter(pk__gt=refresh.seen_vote).exists()


def _build(refresh: Refresh, now: datetime) -> Snapshot | None:
    """The new board; None if nothing of it is new, if there can be none, or if another came meanwhile."""
    newest_vote = Vote.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    tried = {"tried_at": now, "seen_vote": newest_vote, "seen_changes": refresh.n_changes}
    try:
        snapshot, is_new = snapshot_extend(refresh.arena) or snapshot_rebuild(refresh.arena)
    except BoardOvertaken:
        return None  # whether that one knows the newest votes is for the next look
    except RatingRefused as exc:
        Refresh.objects.filter(pk=refresh.pk).update(**tried, refusal_code=exc.code, refusal=exc.message)
        return None
    Refresh.objects.filter(pk=refresh.pk).update(**tried, refusal_code="", refusal="")
    return snapshot if is_new else None
