"""What a person has used, how far their limits are used up, and their ledger to take away."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts import exports, selectors
from apps.accounts.actors import Actor
from apps.accounts.errors import plain
from apps.accounts.models import Period, User
from apps.accounts.quota import Gauge, window_end, window_start


@dataclass(frozen=True, slots=True)
class Meter:
    """A limit as the page shows it."""

    gauge: Gauge

    @property
    def label(self) -> str:
        return self.gauge.label

    @property
    def percent(self) -> int:
        """Rounded down, and 100 only when nothing is left; an amount of 0 is used up."""
        if self.gauge.left <= 0:
            return 100
        return min(99, int(100 * (self.gauge.used + self.gauge.reserved) / self.gauge.amount))

    @property
    def used(self) -> str:
        return plain(self.gauge.used)

    @property
    def reserved(self) -> str:
        return plain(self.gauge.reserved) if self.gauge.reserved else ""

    @property
    def amount(self) -> str:
        return plain(self.gauge.amount)

    @property
    def resets_at(self) -> datetime | None:
        return self.gauge.resets_at


@login_required
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    """This month's use, by model, and a meter for each limit."""
    assert isinstance(request.user, User)  # noqa: S101  # login_required
    since, until = _month(request.GET.get("month", ""))
    context = {
        "meters": [Meter(gauge) for gauge in selectors.gauges_list(Actor(user_id=request.user.pk))],
        "models": [
            (row, plain(row.cost)) for row in selectors.usage_by_model(request.user.pk, since=since, until=until)
        ],
        "month": since,
        "previous": since - timedelta(days=1),
    }
    response = render(request, "accounts/usage.html", context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_safe
async def usage_export(request: HttpRequest, suffix: str) -> StreamingHttpResponse:
    """The month's ledger as a file."""
    user = await request.auser()
    assert isinstance(user, User)  # noqa: S101  # login_required
    since, until = _month(request.GET.get("month", ""))
    write, kind = {"csv": (exports.usage_csv, "text/csv"), "json": (exports.usage_json, "application/json")}[suffix]
    response = StreamingHttpResponse(write(user.pk, since=since, until=until), content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="usage-{since:%Y-%m}.{suffix}"'
    response["Cache-Control"] = "no-store"
    return response


def _month(text: str) -> tuple[datetime, datetime]:
    """The first moments of a month such as 2026-11 and of the next one; of the present one without a text."""
    now = timezone.now()
    if text:
        found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text, re.ASCII)
        if found is None:
            raise Http404
        now = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    end = window_end(Period.MONTH, now)
    assert end is not None  # noqa: S101  # months end
    return window_start(Period.MONTH, now), end
