"""Admin pages of what programs left at the API: whose it is and how it goes, never what is in it."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from apps.core.admin import KeptAdmin
from apps.openai_api.errors import BatchEnded
from apps.openai_api.models import ApiFile, Batch, StoredResponse
from apps.openai_api.services import batches
from apps.openai_api.tasks import nudge


class ReadOnlyAdmin(KeptAdmin):
    """For looking. Its owner deletes it with the API."""

    show_full_result_count = False
    list_select_related = ("user", "api_key")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """An id as programs have it, with its mark and without dashes, is found exactly."""
        try:
            public_id = UUID(search_term.strip().removeprefix("file-").removeprefix("batch_").removeprefix("resp_"))
        except ValueError:
            found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
            return found
        return queryset.filter(public_id=public_id), False

    @admin.display(description="owner")
    def owner(self, row: ApiFile | Batch | StoredResponse) -> str:
        return str(row.user) if row.user is not None else f"key {row.api_key.name}"


@admin.register(ApiFile)
class ApiFileAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "owner", "name", "purpose", "size", "created_at")
    list_filter = ("purpose", "created_at")
    search_fields = ("user__username", "api_key__prefix")
    search_help_text = "Id of a file, a user name, or the beginning of a key"
    fields = readonly_fields = ("public_id", "user", "api_key", "name", "purpose", "size", "created_at")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.display(description="size", ordering="n_bytes")
    def size(self, file: ApiFile) -> str:
        return filesizeformat(file.n_bytes)


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "owner", "endpoint", "state", "progress", "created_at", "expires_at", "ended_at")
    list_filter = ("state", "created_at")
    search_fields = ("user__username", "api_key__prefix")
    search_help_text = "Id of a batch, a user name, or the beginning of a key"
    actions = ("cancel",)
    fields = readonly_fields = (
        "public_id",
        "user",
        "api_key",
        "endpoint",
        "state",
        "progress",
        "n_failed",
        "n_mistakes",
        "input_file",
        "output_file",
        "error_file",
        "created_at",
        "in_progress_at",
        "finalizing_at",
        "cancelling_at",
        "ended_at",
        "expires_at",
        "lease_expires_at",
        "tried_at",
    )

    @admin.display(description="answered")
    def progress(self, batch: Batch) -> str:
        return f"{batch.n_completed + batch.n_failed} of {batch.n_total}"

    @admin.display(description="mistakes in its input")
    def n_mistakes(self, batch: Batch) -> int:
        return len(batch.errors)  # their words may quote the file

    @admin.action(description="Cancel: keep what is answered, drop the rest", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        done = list(self._cancelled(request, queryset))
        self.message_user(request, f"{len(done)} batch(es) cancelled.", messages.SUCCESS if done else messages.INFO)

    def _cancelled(self, request: HttpRequest, queryset: QuerySet[Batch]) -> Iterable[Batch]:
        for batch in queryset:
            try:
                batches.batch_cancel(batch)
            except BatchEnded as exc:
                self.message_user(request, f"{batch.public_id}: {exc.message}", messages.WARNING)
                continue
            nudge(batch.pk)
            self.log_change(request, batch, "cancelled by action")
            yield batch


@admin.register(StoredResponse)
class StoredResponseAdmin(ReadOnlyAdmin):
    list_display = (
        "public_id",
        "owner",
        "model_name",
        "state",
        "is_background",
        "tokens",
        "size",
        "created_at",
        "expires_at",
    )
    list_filter = ("state", "is_background", "created_at")
    search_fields = ("user__username", "api_key__prefix")
    search_help_text = "Id of a response, a user name, or the beginning of a key"
    fields = readonly_fields = (
        "public_id",
        "user",
        "api_key",
        "model_name",
        "state",
        "is_background",
        "n_before",
        "tokens",
        "size",
        "incomplete_reason",
        "error_code",
        "worker",
        "created_at",
        "ended_at",
        "expires_at",
        "lease_expires_at",
        "n_turns",
    )

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredResponse]:
        # What was said may be megabytes, and is nobody's business here.
        queryset: QuerySet[StoredResponse] = super().get_queryset(request)
        return queryset.defer("items", "output", "repeated", "options")

    @admin.display(description="tokens, in and out")
    def tokens(self, response: StoredResponse) -> str:
        usage = response.usage or {}
        return f"{usage.get('input_tokens', '-')} / {usage.get('output_tokens', '-')}"

    @admin.display(description="size", ordering="n_bytes")
    def size(self, response: StoredResponse) -> str:
        return filesizeformat(response.n_bytes)

    @admin.display(description="responses before it")
    def n_before(self, response: StoredResponse) -> int:
        return len(response.ancestors)

    @admin.display(description="error")
    def error_code(self, response: StoredResponse) -> str:
        return str((response.error or {}).get("code", "-"))  # its words may quote what was asked
