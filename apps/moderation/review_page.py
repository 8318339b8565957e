"""The admin's page of one incident: why, what was said before it if that is kept, and what is done about it.

Opening it opens a private conversation, and leaves a trace of that.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.core.errors import SiteError
from apps.core.texts import clean_text
from apps.moderation.models import Incident
from apps.moderation.services import reviews

Act = Callable[[Incident, User, QueryDict], None]

REASON_MAX_CHARS = 300
BAN_LASTS = {
    "7": ("a week", timedelta(days=7)),
    "1": ("a day", timedelta(days=1)),
    "30": ("30 days", timedelta(days=30)),
    "": ("for good", None),
}
"""The first one is offered first."""


def _ban(incident: Incident, reviewer: User, form: QueryDict) -> None:
    _, lasts = BAN_LASTS.get(form.get("lasts", "7"), BAN_LASTS["7"])
    reason = clean_text(form.get("reason", ""))[:REASON_MAX_CHARS]
    reviews.incident_ban(incident, reviewer=reviewer, reason=reason, lasts=lasts, with_network="with_network" in form)


ACTS: dict[str, tuple[Act, str]] = {
    "approve": (lambda incident, reviewer, _: reviews.incident_approve(incident, reviewer=reviewer), "approved"),
    "redact": (lambda incident, reviewer, _: reviews.incident_redact(incident, reviewer=reviewer), "taken out"),
    "block": (lambda incident, reviewer, _: reviews.incident_block(incident, reviewer=reviewer), "author blocked"),
    "ban": (_ban, "author banned"),
}


class Reviewing(Protocol):
    """As much of the incidents' admin as this page needs."""

    def has_review_permission(self, request: HttpRequest) -> bool: ...

    def log_change(self, request: HttpRequest, obj: Incident, message: str) -> object: ...


@require_safe
@never_cache
def review_page(request: HttpRequest, incidents: Reviewing, pk: int) -> HttpResponse:
    reader, incident = _asked(request, incidents, pk)
    context: dict[str, Any] = {
        "incident": incident,
        "kept": reviews.incident_open(incident, reader=reader),
        "may_ban": incident.user is not None or incident.visitor_public_id is not None,
        "ban_lasts": [(days, words) for days, (words, _) in BAN_LASTS.items()],
        "opts": Incident._meta,
        "title": f"Incident {incident.pk}",
    }
    return render(request, "admin/moderation/review.html", admin.site.each_context(request) | context)


@require_POST
def review_act(request: HttpRequest, incidents: Reviewing, pk: int, verb: str) -> HttpResponse:
    reviewer, incident = _asked(request, incidents, pk)
    if verb not in ACTS:
        raise Http404
    act, done = ACTS[verb]
    try:
        act(incident, reviewer, request.POST)
    except SiteError as exc:
        messages.error(request, exc.message)
        return redirect("admin:moderation_incident_review", pk)
    incidents.log_change(request, incident, f"{done} on the page of the incident")
    messages.success(request, f"Incident {incident.pk}: {done}.")
    return redirect("admin:moderation_incident_changelist")


def _asked(request: HttpRequest, incidents: Reviewing, pk: int) -> tuple[User, Incident]:
    if not isinstance(request.user, User) or not incidents.has_review_permission(request):
        raise PermissionDenied
    return request.user, get_object_or_404(Incident.objects.select_related("user", "api_key", "reviewed_by"), pk=pk)
