"""A person's own data: what there is, asking for it to be erased, and how that stands."""

from uuid import UUID

from allauth.core import ratelimit
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.actors import VISITOR_COOKIE, Actor, actor_get
from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.consents.forms import ConsentForm
from apps.consents.selectors import answers_now
from apps.core.errors import NotFound
from apps.privacy import selectors
from apps.privacy.errors import StaffNotErased
from apps.privacy.forms import EraseForm
from apps.privacy.services.erasures import erasure_ask
from apps.privacy.tasks import erasures_nudge

TOO_OFTEN = "Too many tries. Wait a minute, then try again."


@require_http_methods(["GET", "POST"])
@never_cache
def erase(request: HttpRequest) -> HttpResponse:
    """Say what there is of this person, what becomes of it, and take the request."""
    user = request.user if isinstance(request.user, User) else None
    visitor = visitor_of(request)
    form = EraseForm(request.POST or None, user=user)
    problem, status = "", 200
    if request.method == "POST" and (user is not None or visitor is not None):
        if user is not None and not ratelimit.consume(request, action="reauthenticate", user=user):
            form, problem, status = EraseForm(user=user), TOO_OFTEN, 429
        elif form.is_valid():
            try:
                return _asked(request, user, visitor)
            except StaffNotErased as exc:
                problem, status = exc.message, exc.http_status
    actor = actor_get(request.user, request.COOKIES)
    context = {
        "form": form,
        "problem": problem,
        "found": selectors.found_of(actor) if actor != Actor() else {},
        "consents": ConsentForm.of(answers_now(actor)),
        "visitor": visitor if user is None else None,
        "is_known": actor != Actor(),
    }
    return render(request, "privacy/erase.html", context, status=status)


def _asked(request: HttpRequest, user: User | None, visitor: UUID | None) -> HttpResponse:
    erasure = erasure_ask(user=user, visitor_public_id=visitor)
    erasures_nudge()
    logout(request)
    response = redirect("privacy:erasure", erasure.public_id)
    # Whoever goes on here is somebody new.
    response.delete_cookie(VISITOR_COOKIE, samesite="Lax")
    return response


@require_safe
@never_cache
def erasure(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """How it stands. The address is all that opens it: whoever asked has no account any more."""
    try:
        found = selectors.erasure_get(public_id)
    except NotFound as exc:
        raise Http404(exc.message) from exc
    return render(request, "privacy/erasure.html", {"erasure": found})
