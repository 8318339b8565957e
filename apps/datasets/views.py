"""Pages of datasets: all of them, one version with its statistics, and one row beside its source."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.core.errors import SiteError
from apps.datasets.models import DatasetRow, DatasetVersion
from apps.datasets.names import Reference
from apps.datasets.report import StepReport, report_text
from apps.datasets.selectors import datasets_list, n_erased, row_get, row_inspect, steps_counted, version_get
from apps.moderation.services.openings import opening_record

ROW_MAX_CHARS = 500_000
"""Of a row and its source together, as they are stored: a longer page would be no use in a browser."""


def needs(permission: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Who is not signed in is led there; others without the permission are refused, and learn of no name."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def checked(request: HttpRequest, **rest: Any) -> HttpResponse:
            if not isinstance(request.user, User):
                return redirect_to_login(request.get_full_path())
            if not (request.user.is_staff and request.user.has_perm(f"datasets.{permission}")):
                raise PermissionDenied
            try:
                return view(request, **rest)
            except SiteError as exc:
                raise Http404(exc.message) from exc

        return never_cache(require_safe(checked))

    return decorate


@needs("view_datasetversion")
def datasets(request: HttpRequest) -> HttpResponse:
    return render(request, "datasets/all.html", {"datasets": datasets_list()})


@needs("view_datasetversion")
def version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    found = version_get(Reference(name, number))
    counted = list(found.token_counts.all())
    sets = [
        {
            "name": set_name,
            "told": told,
            "charts": [
                *found.charts.get(set_name, []),
                *(chart for one in counted if one.set_name == set_name for chart in one.charts),
            ],
            "steps": steps_counted(found, set_name),
            "report": _report(found.steps + told.get("steps", [])),
        }
        for set_name, told in found.sets.items()
    ]
    context = {
        "version": found,
        "sets": sets,
        "n_erased": n_erased(found),
        "n_taken": found.taken_rows.count(),
        "releases": found.releases.prefetch_related("publications"),
    }
    return render(request, "datasets/version.html", context)


@needs("view_datasetrow")
def find(request: HttpRequest, name: str, number: int, set_name: str) -> HttpResponse:
    """To the page of the row with an id."""
    found = version_get(Reference(name, number))
    row = row_get(found, set_name, id=request.GET.get("id", ""))
    return redirect("datasets:row", name, number, set_name, row.position)


@needs("view_datasetrow")
def row(request: HttpRequest, name: str, number: int, set_name: str, position: int) -> HttpResponse:
    found = version_get(Reference(name, number))
    inspected = row_inspect(row_get(found, set_name, position=position))
    owner = Actor() if inspected.source is None else inspected.source.owner
    if owner != Actor():
        _opened(request, found, owner)
    context = {
        "version": found,
        "found": inspected,
        "is_too_long": inspected.n_chars > ROW_MAX_CHARS,
        "is_of_person": owner != Actor(),
        "before": position - 1,
        "after": position + 1 if _is_there(found, set_name, position + 1) else None,
    }
    return render(request, "datasets/row.html", context)


def _report(steps: list[dict[str, Any]]) -> str:
    return report_text([StepReport.from_dict(one) for one in steps])


def _is_there(found: DatasetVersion, set_name: str, position: int) -> bool:
    return DatasetRow.objects.filter(version=found, set_name=set_name, position=position).exists()


def _opened(request: HttpRequest, found: DatasetVersion, owner: Actor) -> None:
    """Whoever reads somebody's chat is written down, here as elsewhere."""
    assert isinstance(request.user, User)  # noqa: S101  # `needs` has looked
    opening_record(
        reader=request.user,
        owner=owner,
        what=f"A chat of yours, as a row of the dataset {found}",
        address="",
        why="looked at the dataset",
    )
