"""Ratings that move with each vote."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.leaderboard.live import live_rows
from apps.leaderboard.views.access import Place, of_arena


@of_arena
def live(request: HttpRequest, place: Place) -> HttpResponse:
    rows = live_rows(place.actor, place.arena)
    return render(request, "leaderboard/live.html", {"arena": place.arena, "rows": rows})


@of_arena
def live_json(request: HttpRequest, place: Place) -> HttpResponse:
    rows = live_rows(place.actor, place.arena)
    told = [
        {"id": str(row.contestant.public_id), "name": row.name, "rating": row.rating, "votes": row.n_votes}
        for row in rows
    ]
    return JsonResponse({"arena": place.arena.slug, "method": "online Elo, K=4", "rows": told})
