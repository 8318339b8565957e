"""A board to take away: its table, and the votes that it was made of."""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from apps.core.csv_lines import csv_line
from apps.core.threads import in_thread
from apps.leaderboard.choices import board_chosen, chosen
from apps.leaderboard.errors import BoardMissing
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.slices import Slice
from apps.leaderboard.selectors import BoardRow, board_seen
from apps.leaderboard.views.access import Place, of_arena, snapshot_or_404
from apps.leaderboard.votes import votes_lines

COLUMNS = (
    "rank", "name", "rating", "lower", "upper", "votes", "organisation", "licence", "is_retired", "note",
)  # fmt: skip
_LINES_AT_ONCE = 1_000


@of_arena
def board_csv(request: HttpRequest, place: Place) -> HttpResponse:
    here = chosen(request.GET)
    snapshot = snapshot_or_404(place.arena, is_styled=here.is_styled)
    seen = board_seen(place.actor, snapshot, _board(snapshot, here))
    name = "-".join(["leaderboard", place.arena.slug, here.category] + ["style-controlled"] * here.is_styled)
    return as_csv(name, COLUMNS, [row_plain(row).values() for row in seen.rows])


@of_arena
def board_json(request: HttpRequest, place: Place) -> HttpResponse:
    """With all that tells how it was made."""
    here = chosen(request.GET)
    snapshot = snapshot_or_404(place.arena, is_styled=here.is_styled)
    board = _board(snapshot, here)
    seen = board_seen(place.actor, snapshot, board)
    return JsonResponse(
        {
            "id": str(snapshot.public_id),
            "arena": place.arena.slug,
            "category": here.category,
            "is_style_controlled": here.is_styled,
            "style": board.get("style", []),
            "created_at": snapshot.created_at.isoformat(),
            "config": seen.config,
            "votes_hash": snapshot.votes_hash,
            "base": str(snapshot.base.public_id) if snapshot.base else None,
            "code_version": snapshot.code_version,
            "votes": snapshot.n_votes,
            "imports": snapshot.imports,
            "rows": [row_plain(row) for row in seen.rows],
        }
    )


@of_arena
def votes(request: HttpRequest, place: Place) -> StreamingHttpResponse:
    """The board's votes as `leaderboard build` reads them, without those of models that are not for this actor.

    There is nothing personal in them: voters are numbers that are given anew for each board.
    """
    snapshot = snapshot_or_404(place.arena, is_styled=chosen(request.GET).is_styled)
    lines = votes_lines(snapshot)
    hidden = board_seen(place.actor, snapshot).hidden
    if hidden:
        lines = (line for line in lines if _names(line).isdisjoint(hidden))
    response = StreamingHttpResponse(_pieces(lines), content_type="application/jsonl")
    response["Content-Disposition"] = f'attachment; filename="votes-{str(snapshot.public_id)[:8]}.jsonl"'
    return response


def _board(snapshot: Snapshot, here: Slice) -> dict[str, Any]:
    try:
        return board_chosen(snapshot, here)
    except BoardMissing as exc:
        raise Http404(exc.message) from exc


def as_csv(name: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> HttpResponse:
    text = "".join([csv_line(columns), *(csv_line(row) for row in rows)])
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def row_plain(row: BoardRow) -> dict[str, str | float | bool | None]:
    """Without what is the site's own business."""
    plain = asdict(row)
    return {name: plain[name] for name in COLUMNS}


async def _pieces(lines: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """In threads, since they are unpacked meanwhile."""
    while piece := await in_thread(lambda: b"".join(islice(lines, _LINES_AT_ONCE))):
        yield piece


def _names(line: bytes) -> set[str]:
    vote = json.loads(line)
    return {vote["model_a"], vote["model_b"]}
