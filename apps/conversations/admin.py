"""Admin pages of conversations. Lists show no text; whoever opens a private conversation leaves a trace."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline

from apps.accounts.models import User
from apps.conversations.models import Conversation, Feedback, Generation, Message, Share
from apps.conversations.selectors.held import kept_by
from apps.conversations.services.openings import conversation_opened
from apps.conversations.services.shares import shares_revoke
from apps.core.admin import ExactTextFilter, KeptAdmin
from apps.core.texts import clean_text
from apps.holds.errors import Held
from apps.holds.selectors import held_ids


class MessageInline(TabularInline):
    model = Message
    fk_name = "conversation"
    extra = 0
    can_delete = False
    fields = readonly_fields = ("public_id", "parent", "role", "author", "is_imported", "content", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        queryset: QuerySet[Message] = super().get_queryset(request)
        return queryset.select_related("model", "parent")


@admin.register(Conversation)
class ConversationAdmin(ModelAdmin):
    list_display = ("public_id", "user", "visitor", "n_messages", "created_at", "updated_at")
    list_filter = ("updated_at",)
    list_select_related = ("user", "visitor")
    search_fields = ("public_id", "user__username", "visitor__public_id")
    search_help_text = "Id of a conversation or visitor, or a user name"
    show_full_result_count = False
    fields = readonly_fields = ("public_id", "user", "visitor", "title", "created_at", "updated_at")
    inlines = (MessageInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        queryset: QuerySet[Conversation] = super().get_queryset(request)
        return queryset.annotate(message_count=Count("messages"))

    def get_deleted_objects(self, objs: Iterable[Conversation], request: HttpRequest) -> Any:
        """Held ones are among the rows that stand in the way."""
        *found, protected = super().get_deleted_objects(objs, request)
        held = held_ids()
        kept = [f"{one}: {Held().message}" for one in objs if held and not held.isdisjoint(kept_by(one))]
        return (*found, [*protected, *kept])

    @admin.display(description="messages")
    def n_messages(self, conversation: Conversation) -> int:
        return conversation.message_count  # type: ignore[attr-defined, no-any-return]  # annotated above

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        conversation = self.get_object(request, object_id)
        if request.method == "GET" and conversation is not None and self.has_view_permission(request, conversation):
            assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
            conversation_opened(conversation, reader=request.user, why="an administrator looked at it")
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return response


class ErrorCodeFilter(ExactTextFilter):
    title = "error"
    parameter_name = "error_code"


@admin.register(Generation)
class GenerationAdmin(KeptAdmin):
    list_display = (
        "public_id",
        "state",
        "language_model",
        "worker",
        "error_code",
        "prompt_tokens",
        "completion_tokens",
        "ttft_ms",
        "speed",
        "created_at",
    )
    list_filter = ("state", ErrorCodeFilter, "message__model", "worker", "created_at")
    list_filter_submit = True
    list_select_related = ("worker", "message__model")
    search_fields = ("public_id", "conversation__public_id")
    show_full_result_count = False
    fields = readonly_fields = (
        "public_id",
        "state",
        "language_model",
        "worker",
        "finish_reason",
        "error_code",
        "error_message",
        "is_error_retryable",
        "is_stop_requested",
        "prompt_tokens",
        "completion_tokens",
        "ttft_ms",
        "speed",
        "reader",
        "reader_lease_expires_at",
        "created_at",
        "finished_at",
    )

    # Not named `model`: Django would find its own attribute of that name first.
    @admin.display(description="model", ordering="message__model__name")
    def language_model(self, generation: Generation) -> str:
        return str(generation.message.model or "deleted")

    @admin.display(description="tokens/s", ordering="tokens_per_s")
    def speed(self, generation: Generation) -> str:
        return "-" if generation.tokens_per_s is None else f"{generation.tokens_per_s:.1f}"


@admin.register(Feedback)
class FeedbackAdmin(ModelAdmin):
    list_display = ("message", "language_model", "is_good", "reason", "has_comment", "given_at")
    list_filter = ("is_good", "reason", "message__model", "given_at")
    list_filter_submit = True
    list_select_related = ("message__model",)
    search_fields = ("message__public_id", "message__conversation__public_id")
    show_full_result_count = False
    fields = readonly_fields = ("message", "language_model", "is_good", "reason", "comment", "given_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="model", ordering="message__model__name")
    def language_model(self, feedback: Feedback) -> str:
        return feedback.message.author or "deleted"

    @admin.display(description="comment", boolean=True)
    def has_comment(self, feedback: Feedback) -> bool:
        return bool(feedback.comment)


@admin.register(Share)
class ShareAdmin(KeptAdmin):
    """Links that somebody complains about: found by their address, and made to lead nowhere."""

    list_display = ("pk", "conversation", "created_at", "expires_at", "revoked_at")
    list_select_related = ("conversation",)
    list_filter = ("created_at", "revoked_at")
    search_fields = ("=token", "conversation__public_id")
    search_help_text = "The address of a shared page or its last part, or the id of a conversation"
    show_full_result_count = False
    fields = readonly_fields = ("conversation", "created_at", "expires_at", "revoked_at")
    actions = ("revoke",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Share], search_term: str
    ) -> tuple[QuerySet[Share], bool]:
        token = clean_text(search_term).strip().rstrip("/").rpartition("/")[2]
        found: tuple[QuerySet[Share], bool] = super().get_search_results(request, queryset, token)
        return found

    @admin.action(description="Revoke these links", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        for share in queryset:
            self.log_change(request, share, "Revoked the link")
        self.message_user(request, f"{shares_revoke(queryset)} revoked.")
