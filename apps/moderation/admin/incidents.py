"""What came of it: the queue of moderators, and what they opened."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from apps.accounts.models import User
from apps.core.admin import RecordAdmin
from apps.moderation.choices import Review
from apps.moderation.models import Incident, Opening
from apps.moderation.review_page import review_act, review_page
from apps.moderation.selectors import incidents_by_day
from apps.moderation.services.reviews import APPROVED_AT_ONCE, incidents_approve


@admin.register(Incident)
class IncidentAdmin(ModelAdmin):
    """The queue of moderators. No text is in it; the page of one incident shows what its surface keeps."""

    list_display = (
        "created_at",
        "surface",
        "action",
        "categories",
        "found_by",
        "whose",
        "reference",
        "review",
        "page",
    )
    list_filter = ("review", "surface", "direction", "action", "created_at")
    list_select_related = ("user", "api_key")
    actions = ("approve",)
    list_before_template = "admin/moderation/days.html"
    search_fields = ("reference", "request_id", "user__username")
    search_help_text = "Id of a request, a message or a generation, or a user name"
    show_full_result_count = False
    date_hierarchy = "created_at"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        days = {"days": incidents_by_day(timezone.now().date())}
        response: HttpResponse = super().changelist_view(request, (extra_context or {}) | days)
        return response

    def get_urls(self) -> list[Any]:
        def here(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(partial(view, incidents=self))
            return wrapped

        own = [
            path("<int:pk>/review/", here(review_page), name="moderation_incident_review"),
            path("<int:pk>/review/<str:verb>/", here(review_act), name="moderation_incident_act"),
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_review_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("moderation.review_incident")

    @admin.display(description="what was said")
    def page(self, incident: Incident) -> str:
        return format_html('<a href="{}">Read it</a>', reverse("admin:moderation_incident_review", args=[incident.pk]))

    @admin.action(description="Approve: nothing is wrong", permissions=["review"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        approved = incidents_approve(queryset, reviewer=request.user)
        self.log_changes(request, approved, "approved by action")
        self.message_user(request, f"{len(approved)} incident(s) approved.", messages.SUCCESS)
        if n_left := queryset.filter(review=Review.OPEN).count():
            words = f"{n_left} are still open: at most {APPROVED_AT_ONCE} are approved at once. Approve the rest again."
            self.message_user(request, words, messages.WARNING)

    def log_changes(self, request: HttpRequest, incidents: list[Incident], message: str) -> None:
        """As `log_change`, in one write."""
        assert request.user.pk is not None  # noqa: S101  # whoever is here is signed in
        content_type_id = get_content_type_for_model(Incident).pk
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=request.user.pk,
                content_type_id=content_type_id,
                object_id=str(incident.pk),
                object_repr=str(incident)[:200],
                action_flag=CHANGE,
                change_message=message,
            )
            for incident in incidents
        )


@admin.register(Opening)
class OpeningAdmin(RecordAdmin):
    """For looking: what was opened stays written down."""

    list_display = ("opened_at", "reader_name", "what", "owner", "whose", "why")
    list_filter = ("opened_at",)
    list_select_related = ("owner",)
    search_fields = ("reader_name", "owner__username")
    show_full_result_count = False
