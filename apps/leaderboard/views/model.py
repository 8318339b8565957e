"""The page of one contestant."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from apps.leaderboard.errors import ContestantUnseen
from apps.leaderboard.model_page import card
from apps.leaderboard.pages import SPARK_BOX
from apps.leaderboard.views.access import Place, of_arena


@of_arena
def model(request: HttpRequest, place: Place, contestant_id: UUID) -> HttpResponse:
    try:
        found = card(place.actor, place.arena, contestant_id)
    except ContestantUnseen as exc:
        raise Http404(exc.message) from exc
    return render(request, "leaderboard/model.html", {"arena": place.arena, "card": found, "spark_box": SPARK_BOX})
