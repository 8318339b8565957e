"""Admin pages of limits and of the ledger. The ledger is for reading only; open calls are nobody's to change."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from apps.accounts.errors import plain
from apps.accounts.models import Endpoint, LedgerEntry, Limit, Period
from apps.accounts.quota import window_end, window_start
from apps.accounts.selectors import label_of
from apps.core.admin import ExactTextFilter, RecordAdmin

COUNTED_ROWS = 10_000
MONTHS = 36


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # it takes none at run time
    """Counts, and shows, no more than so many rows; a filter or a day leads to those beyond."""

    @cached_property
    def count(self) -> int:
        assert isinstance(self.object_list, QuerySet)  # noqa: S101  # the admin's
        return self.object_list.order_by().values("pk")[:COUNTED_ROWS].count()


@admin.register(Limit)
class LimitAdmin(ModelAdmin):
    list_display = ("label", "audience", "model_name", "metric", "period", "amount_plain", "is_shared")
    list_filter = ("audience", "metric", "period", "is_shared")
    list_select_related = ("user", "group", "api_key")
    search_fields = ("user__username", "group__name", "api_key__name", "model_name")
    autocomplete_fields = ("user", "group", "api_key")
    fields = ("audience", "group", "user", "api_key", "is_shared", "model_name", "metric", "period", "amount")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Counters would lose their sense if what they count changed: then make a new limit.
        return () if obj is None else tuple(name for name in self.fields if name != "amount")

    @admin.display(description="limit")
    def label(self, limit: Limit) -> str:
        return label_of(limit)

    @admin.display(description="amount", ordering="amount")
    def amount_plain(self, limit: Limit) -> str:
        return plain(limit.amount)


class EndpointFilter(admin.SimpleListFilter):
    title = parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(endpoint.value, endpoint.label) for endpoint in Endpoint]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        return queryset.filter(endpoint=self.value()) if self.value() in Endpoint.values else queryset


class MonthFilter(admin.SimpleListFilter):
    """In which a call began, in UTC: the latest ones, whether anything was used in them or not."""

    title = parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(f"{start:%Y-%m}", f"{start:%B %Y}") for start, _ in _latest_months()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        for start, end in _latest_months():
            if self.value() == f"{start:%Y-%m}":
                return queryset.filter(started_at__gte=start, started_at__lt=end)
        return queryset


def _latest_months() -> list[tuple[datetime, datetime]]:
    """The first moments of each month and of the next one, latest first."""
    now = timezone.now()
    months = []
    for _ in range(MONTHS):
        start, end = window_start(Period.MONTH, now), window_end(Period.MONTH, now)
        assert end is not None  # noqa: S101  # months end
        months.append((start, end))
        now = start - timedelta(days=1)
    return months


class ModelNameFilter(ExactTextFilter):
    title = "model"
    parameter_name = "model_name"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(RecordAdmin):
    list_display = (
        "started_at",
        "user",
        "key_name",
        "model_name",
        "endpoint",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "cost_plain",
        "state",
        "is_estimated",
    )
    # None that looks for what occurs among all rows, as a date hierarchy does too.
    list_filter = ("state", "is_estimated", EndpointFilter, ModelNameFilter, MonthFilter)
    list_filter_submit = True
    list_select_related = ("user", "api_key")
    list_per_page = 100
    # Neither count reads the whole of a ledger that only grows: not that of what was found, and not that of all rows.
    paginator = BoundedPaginator
    show_full_result_count = False
    search_fields = ("user__username", "api_key__prefix", "request_id__exact")

    @admin.display(description="key")
    def key_name(self, entry: LedgerEntry) -> str:
        return entry.api_key.name if entry.api_key else "-"

    @admin.display(description="cost", ordering="cost")
    def cost_plain(self, entry: LedgerEntry) -> str:
        return plain(entry.cost)
