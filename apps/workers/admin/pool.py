"""Admin pages of the pool: state at a glance; drain, remove and restore as actions. No token is shown."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline

from apps.core.admin import ExactTextFilter, RecordAdmin
from apps.workers.addresses import AddressRefused, read_allowed
from apps.workers.models import EnrolmentToken, HostedModel, PoolRequest, Worker
from apps.workers.pool_page import pool_act, pool_page
from apps.workers.services import administration, enrolment

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelForm = forms.ModelForm  # generic in its stubs only


class AllowedForm(_ModelForm):
    """Refuses what is neither a network nor an address nor a name."""

    def clean_allowed(self) -> str:
        try:
            return " ".join(read_allowed(self.cleaned_data["allowed"]))
        except AddressRefused as exc:
            raise forms.ValidationError(f"{exc}.") from exc


class HostedModelInline(TabularInline):
    model = HostedModel
    extra = 0
    can_delete = False
    fields = readonly_fields = ("model", "state", "progress", "error", "n_parameters", "dtype")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class PoolMemberAdmin(ModelAdmin):
    """What workers and providers have in common: state at a glance, and what is done to them."""

    actions = ("drain", "undrain", "remove", "restore")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        hosted = HostedModel.objects.select_related("model")
        queryset: QuerySet[Worker] = super().get_queryset(request)
        return queryset.prefetch_related(Prefetch("hosted", queryset=hosted))

    @admin.display(description="state")
    def state(self, worker: Worker) -> str:
        return worker.state(timezone.now())

    @admin.display(description="models")
    def models(self, worker: Worker) -> str:
        return ", ".join(f"{h.model.name} ({_state_words(h)})" for h in worker.hosted.all()) or "none"

    @admin.display(description="queue")
    def queue(self, worker: Worker) -> int:
        return worker.queue

    @admin.action(description="Drain: finish what they have, give them nothing new")
    def drain(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._for_each(
            request, queryset, "drained", lambda worker: administration.worker_drain(worker, is_drained=True)
        )

    @admin.action(description="Put back into dispatch")
    def undrain(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._for_each(
            request, queryset, "put back", lambda worker: administration.worker_drain(worker, is_drained=False)
        )

    @admin.action(description="Remove: send them nothing and refuse their lease")
    def remove(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._for_each(request, queryset, "removed", administration.worker_remove)

    @admin.action(description="Restore removed workers")
    def restore(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._for_each(request, queryset, "restored", administration.worker_restore)

    def _for_each(self, request: HttpRequest, queryset: QuerySet[Worker], done: str, service: object) -> None:
        assert callable(service)  # noqa: S101  # narrows the type
        for worker in queryset:
            service(worker)
            self.log_change(request, worker, f"{done} by action")
        self.message_user(request, f"{len(queryset)} worker(s) {done}.", messages.SUCCESS)


@admin.register(Worker)
class WorkerAdmin(PoolMemberAdmin):
    form = AllowedForm
    list_display = ("base_url", "state", "models", "queue", "device", "speed", "weight", "lease", "last_error")
    list_filter = ("is_drained", "is_leaving")
    search_fields = ("base_url", "public_id", "hosted__model__name")
    inlines = (HostedModelInline,)
    readonly_fields = (
        "public_id",
        "base_url",
        "state",
        "queue",
        "device",
        "version",
        "speed",
        "is_drained",
        "is_leaving",
        "lease",
        "cooling_until",
        "last_error",
        "last_error_at",
        "enrolled_at",
        "removed_at",
    )
    fields = ("weight", "slots", "allowed", *readonly_fields)

    def get_urls(self) -> list[Any]:
        def here(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(partial(view, workers=self))
            return wrapped

        own = [
            path("pool/", here(pool_page), name="workers_pool"),
            path("pool/<int:pk>/<str:verb>/", here(pool_act), name="workers_pool_act"),
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # workers enrol themselves

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        return super().get_queryset(request).filter(kind="")  # the others have a page of their own

    @admin.display(description="lease", ordering="lease_expires_at")
    def lease(self, worker: Worker) -> str:
        return _lease_words(worker.lease_expires_at, timezone.now())


@admin.register(EnrolmentToken)
class EnrolmentTokenAdmin(ModelAdmin):
    """A token is shown once, in the message after it was made."""

    form = AllowedForm
    list_display = ("__str__", "allowed", "created_at", "expires_at", "used_at", "worker")
    list_select_related = ("worker",)
    readonly_fields = ("prefix", "created_at", "expires_at", "used_at", "worker")

    def get_fields(self, request: HttpRequest, obj: EnrolmentToken | None = None) -> tuple[str, ...]:
        return ("label", "allowed") if obj is None else ("label", "allowed", *self.readonly_fields)

    def has_change_permission(self, request: HttpRequest, obj: EnrolmentToken | None = None) -> bool:
        return False  # what was allowed when it was used is what its worker has; make another one

    def save_model(self, request: HttpRequest, obj: EnrolmentToken, form: _ModelForm, change: bool) -> None:
        new = enrolment.token_create(label=obj.label, allowed=obj.allowed)
        obj.pk, obj.prefix = new.token.pk, new.token.prefix
        words = "Keep this token, it cannot be shown again: {}. One worker may enrol with it, within 24 hours."
        self.message_user(request, words.format(new.secret), messages.WARNING)


class OutcomeFilter(ExactTextFilter):
    title = parameter_name = "outcome"


@admin.register(PoolRequest)
class PoolRequestAdmin(RecordAdmin):
    """The log of requests, for reading."""

    list_display = ("trace_id", "model", "party", "state", "worker", "created_at", "admitted_at", "ended_at", "outcome")
    list_filter = ("state", "model", OutcomeFilter)
    list_filter_submit = True
    search_fields = ("trace_id", "party")
    list_select_related = ("model", "worker")


def _state_words(hosted: HostedModel) -> str:
    if hosted.state == "loading" and hosted.progress is not None:
        return f"loading {hosted.progress:.0%}"
    return hosted.state


def _lease_words(expires_at: datetime, now: datetime) -> str:
    seconds = round((expires_at - now).total_seconds())
    return f"{seconds} s left" if seconds > 0 else f"ran out {-seconds} s ago"
