"""Ratings by day: an index of the boards, so that a page need not read all of them."""

from dataclasses import dataclass
from datetime import date, timedelta

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
    points = DailyRating.objects.filter(contestant__arena=arena_pk, day__gt=since, day__lte=until).order_by("day")
    found: dict[int, list[tuple[date, float]]] = {}
    for contestant, day, rating in points.values_list("contestant_id", "day", "rating"):
        found.setdefault(contestant, []).append((day, rating))
    return {
        contestant: Trend(tuple(day for day, _ in of_days), tuple(rating for _, rating in of_days))
        for contestant, of_days in found.items()
        if len(of_days) > 1
    }
