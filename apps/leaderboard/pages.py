"""Boards as pages show them: rows with their drawings. Who may see them is the business of `selectors`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from apps.leaderboard.choices import MAIN
from apps.leaderboard.history import Trend, trends
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.slices import Slice
from apps.leaderboard.selectors import BoardRow
from apps.leaderboard.sorting import Column

TREND = Column("trend", "Trend", is_downward=True)
COLUMNS = (
    Column("rank", "Rank"),
    Column("name", "Model"),
    Column("rating", "Rating", is_downward=True),
    Column("votes", "Votes", is_downward=True),
    TREND,
    Column("organisation", "Organisation"),
    Column("licence", "Licence"),
)
VOTED_RANK = Column("voted_rank", "Rank as voted")
SPARK_WIDTH, SPARK_HEIGHT = 60.0, 16.0
SPARK_BOX = f"-2 -2 {SPARK_WIDTH + 4:g} {SPARK_HEIGHT + 4:g}"
"""With room for the width of the line."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval on the board's common scale, in hundredths of its width."""

    start: float
    width: float
    middle: float


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row with what is drawn in it. Attributes that are columns are named as in `COLUMNS`."""

    of: BoardRow
    bar: Bar | None
    trend: float | None
    since: date | None
    voted_rank: int | None
    """On a board with style taken out: where it stands as voted."""
    spark: str
    """Points of a line, `SPARK_WIDTH` wide and `SPARK_HEIGHT` high."""

    @property
    def rank(self) -> int | None:
        return self.of.rank

    @property
    def name(self) -> str:
        return self.of.name

    @property
    def rating(self) -> float | None:
        return self.of.rating

    @property
    def votes(self) -> int:
        return self.of.votes

    @property
    def organisation(self) -> str:
        return self.of.organisation

    @property
    def licence(self) -> str:
        return self.of.licence


def columns_of(board: Slice) -> tuple[Column, ...]:
    """Trends are of the main board; where style is taken out, both ranks stand side by side."""
    columns = COLUMNS if board == MAIN else tuple(column for column in COLUMNS if column != TREND)
    return (columns[0], VOTED_RANK, *columns[1:]) if board.is_styled else columns


def rows_shown(
    snapshot: Snapshot, rows: Sequence[BoardRow], board: Slice = MAIN, voted: dict[str, Any] | None = None
) -> list[ShownRow]:
    """In the same order, in one query. `voted`: the board as voted, beside one with style taken out."""
    of_models = trends(snapshot.arena_id, snapshot.created_at.date()) if board == MAIN else {}
    ranks = {row["name"]: row["rank"] for row in voted["rows"]} if voted else {}
    scale = _scale(rows)
    return [_shown(row, scale, of_models.get(row.contestant_pk), ranks.get(row.key)) for row in rows]


def _shown(row: BoardRow, scale: tuple[float, float] | None, trend: Trend | None, voted: int | None) -> ShownRow:
    return ShownRow(
        row,
        bar=_bar(row, scale),
        trend=trend.change if trend else None,
        since=trend.since if trend else None,
        voted_rank=voted,
        spark=spark(trend) if trend else "",
    )


def _scale(rows: Sequence[BoardRow]) -> tuple[float, float] | None:
    """The lowest bound, and how far it is from there to the highest."""
    bounds = [bound for row in rows for bound in (row.lower, row.upper) if bound is not None]
    return (min(bounds), max(bounds) - min(bounds)) if bounds and max(bounds) > min(bounds) else None


def _bar(row: BoardRow, scale: tuple[float, float] | None) -> Bar | None:
    if scale is None or row.rating is None or row.lower is None or row.upper is None:
        return None
    start, middle, end = (round(100 * (at - scale[0]) / scale[1], 2) for at in (row.lower, row.rating, row.upper))
    return Bar(start, round(end - start, 2), middle)


def spark(trend: Trend) -> str:
    """For the attribute `points` of a polyline."""
    first, highest = trend.days[0].toordinal(), max(trend.ratings)
    per_day = SPARK_WIDTH / (trend.days[-1].toordinal() - first)
    height = highest - min(trend.ratings)
    per_point = SPARK_HEIGHT / height if height else 0.0
    top = 0.0 if height else SPARK_HEIGHT / 2
    return " ".join(
        f"{(day.toordinal() - first) * per_day:.1f},{top + (highest - rating) * per_point:.1f}"
        for day, rating in zip(trend.days, trend.ratings, strict=True)
    )
