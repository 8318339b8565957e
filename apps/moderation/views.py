"""What a person may know of moderation: who of the staff opened what they had said in private."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.actors import actor_get
from apps.moderation import selectors


@require_safe
@never_cache
def openings(request: HttpRequest) -> HttpResponse:
    actor = actor_get(request.user, request.COOKIES)
    context = {"openings": selectors.openings_list(actor), "n_shown": selectors.OPENINGS_SHOWN}
    return render(request, "moderation/openings.html", context)
