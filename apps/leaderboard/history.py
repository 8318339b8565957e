"""Ratings by day: an index of the boards, so that a page need not read all of them."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.contrib.postgres.aggregates import ArrayAgg

from apps.leaderboard.models import DailyRating, Snapshot

TREND_DAYS = 30


@dataclass(frozen=True, slots=True)
class Trend:
    """Ratings of one model on the days that had a board, the earliest first; at least two."""

    days: tuple[date, ...]
    ratings: tuple[float, ...]

    @property
    def change(self) -> float:
        return self.ratings[-1] - self.ratings[0]

    @property
    def since(self) -> date:
        return self.days[0]


def history_write(snapshot: Snapshot) -> None:
    """Enter a new board. The last one of a day is the one that is kept for it."""
    contestants = snapshot.contestants
    rows = [
        DailyRating(
            contestant_id=contestants[row["name"]]["pk"],
            day=snapshot.created_at.date(),
            snapshot=snapshot,
            **{name: row[name] for name in ("rating", "lower", "upper", "rank", "n_battles")},
        )
        for row in snapshot.board["rows"]
        if row["rating"] is not None
    ]
    DailyRating.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["contestant", "day"],
        update_fields=["snapshot", "rating", "lower", "upper", "rank", "n_battles"],
    )


def trends(arena_pk: int, until: date) -> dict[int, Trend]:
    """By contestant, over the last `TREND_DAYS`; those with a single day have none."""
    since = until - timedelta(days=TREND_DAYS)
    days = DailyRating.objects.filter(contestant__arena=arena_pk, day__gt=since, day__lte=until)
    of_each = days.values_list("contestant_id").annotate(
        days=ArrayAgg("day", order_by="day"), ratings=ArrayAgg("rating", order_by="day")
    )
    return {contestant: Trend(tuple(days), tuple(ratings)) for contestant, days, ratings in of_each if len(days) > 1}
