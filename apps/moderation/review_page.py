"""The admin's page of one incident: why, what was said before it if that is kept, and what is done about it.

Opening it opens a private conversation, and leaves a trace of that.
"""

from collections.abc import Callable
from typing import Any, Protocol

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import User
from apps.core.errors import SiteError
from apps.moderation.models import Incident
from apps.moderation.services import reviews

ACTS: dict[str, tuple[Callable[..., None], str]] = {
    "approve": (reviews.incident_approve, "approved"),
    "redact": (reviews.incident_redact, "text taken out"),
    "block": (reviews.incident_block, "author blocked"),
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
        act(incident, reviewer=reviewer)
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
