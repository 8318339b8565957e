"""The admin's page of the pool: its state as it is now, and buttons that act at once.

The browser asks for the part of it that changes every two seconds, so that what is shown is never older than that or
says so.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.workers.models import Worker
from apps.workers.pool_state import pool_now
from apps.workers.services import administration

ACTS: dict[str, tuple[Callable[[Worker], None], str]] = {
    "drain": (partial(administration.worker_drain, is_drained=True), "drained"),
    "undrain": (partial(administration.worker_drain, is_drained=False), "put back"),
    "remove": (administration.worker_remove, "removed"),
    "restore": (administration.worker_restore, "restored"),
}


class WorkerPermissions(Protocol):
    """As much of the workers' admin as this page needs."""

    def has_view_permission(self, request: HttpRequest) -> bool: ...

    def has_change_permission(self, request: HttpRequest) -> bool: ...

    def log_change(self, request: HttpRequest, obj: Worker, message: str) -> object: ...


@require_safe
@never_cache
def pool_page(request: HttpRequest, workers: WorkerPermissions) -> HttpResponse:
    """The whole page, or with `?part` what changes of it."""
    if not workers.has_view_permission(request):
        raise PermissionDenied
    context = {"pool": pool_now(timezone.now()), "may_act": workers.has_change_permission(request)}
    if "part" in request.GET:
        return render(request, "admin/workers/_pool.html", context)
    return render(request, "admin/workers/pool.html", admin.site.each_context(request) | context | {"title": "Pool"})


@require_POST
def pool_act(request: HttpRequest, workers: WorkerPermissions, pk: int, verb: str) -> HttpResponse:
    """Drain, put back, remove or restore a worker, and write down who did it."""
    if not workers.has_change_permission(request):
        raise PermissionDenied
    if verb not in ACTS:
        raise Http404
    worker = get_object_or_404(Worker, pk=pk)
    act, done = ACTS[verb]
    act(worker)
    workers.log_change(request, worker, f"{done} on the page of the pool")
    messages.success(request, f"{worker} was {done}.")
    return redirect("admin:workers_pool")
