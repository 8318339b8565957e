"""The charts of an arena's board, as they were drawn when it was made."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.leaderboard.charts.kinds import NOTES, TITLES, Kind
from apps.leaderboard.models import Chart
from apps.leaderboard.selectors import chart_newest
from apps.leaderboard.views.access import Place, of_arena
from apps.leaderboard.views.downloads import as_csv


@of_arena
def chart(request: HttpRequest, place: Place, kind: str = Kind.INTERVALS) -> HttpResponse:
    """With its table. One that is not drawn yet, or has no numbers, says so."""
    found = _kind(kind)
    context = {
        "arena": place.arena,
        "kind": found.value,
        "title": TITLES[found],
        "note": NOTES[found],
        "kinds": [(other.value, TITLES[other]) for other in Kind],
        "chart": chart_newest(place.actor, place.arena, found),
        "is_square": found in (Kind.WINS, Kind.PREDICTED, Kind.COUNTS),
    }
    return render(request, "leaderboard/chart.html", context)


@of_arena
def chart_csv(request: HttpRequest, place: Place, kind: str) -> HttpResponse:
    data = _chart(place, kind).data
    return as_csv(f"{place.arena.slug}-{kind}", data["columns"], data["rows"])


@of_arena
def chart_json(request: HttpRequest, place: Place, kind: str) -> HttpResponse:
    """Objects with one field for each column, and of which board."""
    found = _chart(place, kind)
    columns = found.data["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in found.data["rows"]]
    board = {"id": str(found.snapshot.public_id), "created_at": found.snapshot.created_at.isoformat()}
    return JsonResponse({"arena": place.arena.slug, "chart": kind, "board": board, "rows": rows})


def _kind(kind: str) -> Kind:
    try:
        return Kind(kind)
    except ValueError as exc:
        raise Http404("There is no such chart.") from exc


def _chart(place: Place, kind: str) -> Chart:
    found = chart_newest(place.actor, place.arena, _kind(kind))
    if found is None:
        raise Http404("This chart is not drawn yet.")
    return found
