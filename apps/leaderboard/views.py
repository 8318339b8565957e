"""Pages of the leaderboard: shape only."""

import csv
from dataclasses import asdict, fields

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts.actors import Actor, actor_get
from apps.arena.errors import ArenaNotFound
from apps.arena.models import Arena
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.selectors import arena_get, arenas_visible
from apps.leaderboard.models import Snapshot
from apps.leaderboard.selectors import BoardRow, rows_visible, snapshot_newest

COLUMNS = {
    "rank": "Rank",
    "name": "Model",
    "rating": "Rating",
    "votes": "Votes",
    "organisation": "Organisation",
    "licence": "Licence",
}
_DOWNWARD = {"rating", "votes"}


@never_cache
@require_GET
def board(request: HttpRequest, slug: str = DEFAULT_SLUG) -> HttpResponse:
    """The newest board of an arena, sorted as asked."""
    actor, arena = _arena(request, slug)
    snapshot = snapshot_newest(arena)
    sort = request.GET.get("sort", "rank")
    sort = sort if sort in COLUMNS else "rank"
    context = {
        "arena": arena,
        "arenas": list(arenas_visible(actor)),
        "snapshot": snapshot,
        "rows": _sorted(rows_visible(actor, snapshot), sort) if snapshot else [],
        "columns": [(key, title, _direction(key) if key == sort else "") for key, title in COLUMNS.items()],
        "percent": round(100 * snapshot.config["confidence"], 2) if snapshot else None,
    }
    return render(request, "leaderboard/board.html", context)


@never_cache
@require_GET
def board_csv(request: HttpRequest, slug: str) -> HttpResponse:
    actor, snapshot = _snapshot(request, slug)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="leaderboard-{slug}.csv"'
    writer = csv.writer(response)
    writer.writerow([field.name for field in fields(BoardRow)])
    for row in rows_visible(actor, snapshot):
        writer.writerow([_safe(value) for value in asdict(row).values()])
    return response


@never_cache
@require_GET
def board_as_json(request: HttpRequest, slug: str) -> JsonResponse:
    actor, snapshot = _snapshot(request, slug)
    return JsonResponse(
        {
            "id": str(snapshot.public_id),
            "arena": slug,
            "created_at": snapshot.created_at.isoformat(),
            "config": snapshot.config,
            "votes_hash": snapshot.votes_hash,
            "code_version": snapshot.code_version,
            "votes": snapshot.n_votes,
            "rows": [asdict(row) for row in rows_visible(actor, snapshot)],
        }
    )


def _arena(request: HttpRequest, slug: str) -> tuple[Actor, Arena]:
    actor = actor_get(request.user, request.COOKIES)
    try:
        return actor, arena_get(actor, slug)
    except ArenaNotFound as exc:
        raise Http404(exc.message) from exc


def _snapshot(request: HttpRequest, slug: str) -> tuple[Actor, Snapshot]:
    actor, arena = _arena(request, slug)
    snapshot = snapshot_newest(arena)
    if snapshot is None:
        raise Http404("There is no board yet.")
    return actor, snapshot


def _direction(key: str) -> str:
    return "descending" if key in _DOWNWARD else "ascending"


def _sorted(rows: list[BoardRow], key: str) -> list[BoardRow]:
    """What is empty comes last; among equals the board's order stays."""
    known = [row for row in rows if getattr(row, key) not in (None, "")]
    empty = [row for row in rows if getattr(row, key) in (None, "")]
    return sorted(known, key=lambda row: _sort_value(getattr(row, key)), reverse=key in _DOWNWARD) + empty


def _sort_value(value: str | float) -> str | float:
    return value.casefold() if isinstance(value, str) else value


def _safe(value: object) -> object:
    """A name that a spreadsheet would take for a formula is text to it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
