"""The board of an arena."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.arena.selectors import arenas_visible
from apps.leaderboard.flags import config_flags
from apps.leaderboard.models import Snapshot
from apps.leaderboard.pages import COLUMNS, SPARK_BOX, rows_shown
from apps.leaderboard.selectors import board_seen, snapshot_newest
from apps.leaderboard.sorting import Order, sorted_by
from apps.leaderboard.views.access import Place, of_arena


@of_arena
def board(request: HttpRequest, place: Place) -> HttpResponse:
    """The newest board, sorted as asked."""
    snapshot = snapshot_newest(place.arena)
    context = {"arena": place.arena, "arenas": list(arenas_visible(place.actor)), "snapshot": snapshot}
    if snapshot is not None:
        context |= _board(place, snapshot, Order.of(COLUMNS, request.GET.get("sort", "")))
    return render(request, "leaderboard/board.html", context)


def _board(place: Place, snapshot: Snapshot, order: Order) -> dict[str, Any]:
    seen = board_seen(place.actor, snapshot)
    return {
        "rows": sorted_by(rows_shown(snapshot, seen.rows), order),
        "headings": order.headings(COLUMNS),
        "percent": f"{100 * seen.config['confidence']:g}",
        "spark_box": SPARK_BOX,
        "flags": config_flags(seen.config),
        "is_partial": bool(seen.hidden),
    }
