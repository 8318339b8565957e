"""Rows of a board as words, so that a template puts them down as they are.

A board has hundreds of rows: a filter, a tag or an attribute of an attribute in each of their cells is most of the time
that the page takes.
"""

from collections.abc import Sequence
from datetime import date
from typing import TypedDict
from uuid import UUID

from django.urls import reverse
from django.utils.dateformat import format as date_format

from apps.leaderboard.pages import Bar, ShownRow

NOTHING = "–"
_ANYBODY = UUID(int=0)


class Cells(TypedDict):
    """Of one row. What is blank is not shown; a dictionary, since a template asks for a key first."""

    rank: str
    voted_rank: str
    name: str
    url: str
    is_retired: bool
    rating: str
    bar: "Box | None"
    bounds: str
    note: str
    """Why there is no rating."""
    votes: str
    spark: str
    trend: str
    since: str
    organisation: str
    licence: str


class Box(TypedDict):
    """`Bar` in the words of SVG."""

    start: str
    width: str
    middle: str


def cells_of(rows: Sequence[ShownRow], slug: str) -> list[Cells]:
    """In the same order."""
    # The address of one tells those of all: looking each of them up takes longer than the rest of its row.
    models = reverse("leaderboard:model", args=[slug, _ANYBODY]).removesuffix(str(_ANYBODY))
    days = {day: date_format(day, "j M Y") for day in {row.since for row in rows} if day is not None}
    return [_cells(row, f"{models}{row.of.contestant_id}", days) for row in rows]


def _cells(row: ShownRow, url: str, days: dict[date, str]) -> Cells:
    of = row.of
    has_rating = of.rating is not None and of.lower is not None and of.upper is not None
    return {
        "rank": _or_nothing(of.rank),
        "voted_rank": _or_nothing(row.voted_rank),
        "name": of.name,
        "url": url,
        "is_retired": of.is_retired,
        "rating": f"{of.rating:.1f}" if has_rating else "",
        "bar": _box(row.bar) if row.bar else None,
        "bounds": f"{of.lower:.0f} to {of.upper:.0f}" if has_rating else "",
        "note": of.note,
        "votes": f"{of.votes:,}",
        "spark": row.spark,
        "trend": "" if row.trend is None else f"{row.trend:+.1f}",
        "since": days[row.since] if row.since else "",
        "organisation": of.organisation or NOTHING,
        "licence": of.licence or NOTHING,
    }


def _or_nothing(rank: int | None) -> str:
    return NOTHING if rank is None else str(rank)


def _box(bar: Bar) -> Box:
    return {"start": f"{bar.start:.2f}", "width": f"{bar.width:.2f}", "middle": f"{bar.middle:.2f}"}
