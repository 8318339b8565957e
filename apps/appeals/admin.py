"""The moderators' page of appeals: read one, look at its incident, answer it once."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from apps.accounts.models import User
from apps.appeals.errors import AlreadyAnswered
from apps.appeals.models import Appeal, Outcome
from apps.appeals.services import appeal_answer
from apps.core.admin import KeptAdmin

if TYPE_CHECKING:
    _AppealForm = forms.ModelForm[Appeal]
else:
    _AppealForm = forms.ModelForm  # generic in its stubs only


class AppealForm(_AppealForm):
    """An answer has a decision and words."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("outcome") == Outcome.OPEN:
            raise forms.ValidationError({"outcome": "Decide: uphold or overturn."})
        if not (cleaned.get("answer") or "").strip():
            raise forms.ValidationError({"answer": "Say why, for whoever made the appeal."})
        return cleaned


@admin.register(Appeal)
class AppealAdmin(KeptAdmin):
    """Not answered ones can be changed, once."""

    form = AppealForm
    list_display = ("__str__", "made_at", "against", "outcome", "answered_by", "answered_at")
    list_filter = ("outcome", "made_at")
    list_select_related = ("incident", "ban__user", "answered_by")
    show_full_result_count = False
    fields = ("page", "text", "made_at", "outcome", "answer", "answered_by", "answered_at")
    readonly_fields = ("page", "text", "made_at", "answered_by", "answered_at")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("moderation.review_incident")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Appeal | None = None) -> bool:
        return self.has_view_permission(request) and (obj is None or obj.outcome == Outcome.OPEN)

    @admin.display(description="against")
    def against(self, appeal: Appeal) -> str:
        return f"ban of {appeal.ban}" if appeal.ban is not None else str(appeal.incident)

    @admin.display(description="against")
    def page(self, appeal: Appeal) -> str:
        if appeal.ban is not None:
            address = reverse("admin:moderation_ban_change", args=[appeal.ban.pk])
        else:
            address = reverse("admin:moderation_incident_review", args=[appeal.incident_id])
        return format_html('<a href="{}">{}</a>', address, self.against(appeal))

    def save_model(self, request: HttpRequest, obj: Appeal, form: AppealForm, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        try:
            appeal_answer(obj, outcome=Outcome(obj.outcome), answer=obj.answer, moderator=request.user)
        except AlreadyAnswered as exc:
            self.message_user(request, exc.message, messages.ERROR)
