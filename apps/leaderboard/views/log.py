"""The transparency log of an arena."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.leaderboard.log import CHANGES_SHOWN, changes, entries, log_plain
from apps.leaderboard.views.access import Place, of_arena


@of_arena
def log(request: HttpRequest, place: Place) -> HttpResponse:
    found = entries(place.actor, place.arena)
    context = {
        "arena": place.arena,
        "entries": found,
        "changes": changes(place.arena, found, limit=CHANGES_SHOWN),
        "n_shown": CHANGES_SHOWN,
    }
    return render(request, "leaderboard/log.html", context)


@of_arena
def log_json(request: HttpRequest, place: Place) -> HttpResponse:
    return JsonResponse(
        {"arena": place.arena.slug, "contestants": log_plain(place.arena, entries(place.actor, place.arena))}
    )
