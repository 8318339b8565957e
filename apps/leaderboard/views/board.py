"""The boards of an arena: of everything and of each category, as voted and with style taken out."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.arena.selectors import arenas_visible
from apps.leaderboard.cells import cells_of
from apps.leaderboard.choices import board_chosen, category_links, chosen, query_of, style_links
from apps.leaderboard.errors import BoardMissing
from apps.leaderboard.flags import config_flags, slice_flags
from apps.leaderboard.models import Snapshot
from apps.leaderboard.pages import SPARK_BOX, TREND, VOTED_RANK, columns_of, rows_shown
from apps.leaderboard.rating.slices import Slice
from apps.leaderboard.selectors import board_seen, snapshot_newest
from apps.leaderboard.sorting import Order, sorted_by
from apps.leaderboard.views.access import Place, of_arena


@of_arena
def board(request: HttpRequest, place: Place) -> HttpResponse:
    """Of the newest votes, sorted as asked."""
    here = chosen(request.GET)
    snapshot = snapshot_newest(place.arena, is_styled=here.is_styled)
    context = {"arena": place.arena, "arenas": list(arenas_visible(place.actor)), "snapshot": snapshot}
    if snapshot is not None:
        context |= {
            "categories": category_links(snapshot, here),
            "styles": style_links(here),
            "query": query_of(here),
            "board": _board(place, snapshot, here, request.GET.get("sort", "")),
        }
    return render(request, "leaderboard/board.html", context)


def _board(place: Place, snapshot: Snapshot, here: Slice, sort: str) -> dict[str, Any] | None:
    try:
        found = board_chosen(snapshot, here)
        voted = board_chosen(snapshot, Slice(here.category, is_styled=False)) if here.is_styled else None
    except BoardMissing:
        return None
    seen = board_seen(place.actor, snapshot, found)
    columns = columns_of(here)
    order = Order.of(columns, sort)
    return {
        "rows": cells_of(sorted_by(rows_shown(snapshot, seen.rows, here, voted), order), place.arena.slug),
        "headings": [(heading, query_of(here, sort=heading.query)) for heading in order.headings(columns)],
        "has_trend": TREND in columns,
        "has_voted_rank": VOTED_RANK in columns,
        "n_battles": found["n_battles"],
        "coefficients": found.get("style", []),
        "percent": f"{100 * seen.config['confidence']:g}",
        "spark_box": SPARK_BOX,
        "flags": " ".join(filter(None, (slice_flags(here), config_flags(seen.config)))),
        "is_partial": bool(seen.hidden),
    }
