"""What moderation decided about a person's texts, and their appeals."""

from collections.abc import Callable
from functools import partial

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.actors import actor_get
from apps.appeals import selectors
from apps.appeals.models import Appeal
from apps.appeals.services import TEXT_MAX_CHARS, appeal_make, ban_appeal_make
from apps.core.errors import NotFound, SiteError


@require_safe
@never_cache
def appeals(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@never_cache
def make(request: HttpRequest, pk: int) -> HttpResponse:
    """Appeal against the incident of this number."""
    return _made(request, partial(appeal_make, incident_pk=pk))


@require_POST
@never_cache
def make_of_ban(request: HttpRequest, pk: int) -> HttpResponse:
    """Appeal against the ban of this number."""
    return _made(request, partial(ban_appeal_make, ban_pk=pk))


def _made(request: HttpRequest, make: Callable[..., Appeal]) -> HttpResponse:
    try:
        make(actor=actor_get(request.user, request.COOKIES), text=request.POST.get("text", ""))
    except NotFound as exc:
        raise Http404(exc.message) from exc
    except SiteError as exc:
        return _page(request, problem=exc.message, status=exc.http_status)
    return redirect("appeals:appeals")


def _page(request: HttpRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    actor = actor_get(request.user, request.COOKIES)
    context = {
        "bans": selectors.bans_list(actor),
        "decisions": selectors.decisions_list(actor),
        "n_shown": selectors.SHOWN,
        "problem": problem,
        "limit": TEXT_MAX_CHARS,
    }
    return render(request, "appeals/appeals.html", context, status=status)
