"""Who may not take part."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.models import User
from apps.core.admin import KeptAdmin
from apps.moderation.errors import CannotBlock
from apps.moderation.models import Ban
from apps.moderation.services.bans import ban_lift, require_may_block

if TYPE_CHECKING:
    _BanForm = forms.ModelForm[Ban]
else:
    _BanForm = forms.ModelForm  # generic in its stubs only


class BanForm(_BanForm):
    """`by`: who bans; the admin makes a class of its own for each request."""

    by: User

    class Meta:
        model = Ban
        fields = ("user", "visitor_public_id", "reason", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not cleaned["user"] and not cleaned["visitor_public_id"]:
            raise forms.ValidationError("Say whom: an account or a visitor.")
        if (user := cleaned.get("user")) is not None:
            try:
                require_may_block(user, self.by)
            except CannotBlock as exc:
                raise forms.ValidationError(exc.message) from exc
        return cleaned


@admin.register(Ban)
class BanAdmin(KeptAdmin):
    """A ban is lifted, not changed: what was told stays as it was told."""

    form = BanForm
    list_display = ("created_at", "whom", "reason", "expires_at", "by_name", "lifted_at", "lifted_by_name")
    list_filter = ("created_at", "lifted_at")
    list_select_related = ("user",)
    search_fields = ("=user__username", "=visitor_public_id", "by_name")
    search_help_text = "A user name, or the id of a visitor"
    show_full_result_count = False
    autocomplete_fields = ("user",)
    actions = ("lift",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("moderation.add_ban")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))

    def get_form(self, request: HttpRequest, obj: Ban | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.by = request.user
        return form

    @admin.display(description="whom")
    def whom(self, ban: Ban) -> str:
        visitor = f"visitor {ban.visitor_public_id}" if ban.visitor_public_id else ""
        named = (str(ban.user) if ban.user else "", visitor, "their network" if ban.network_digest else "")
        return " and ".join(name for name in named if name)

    def save_model(self, request: HttpRequest, obj: Ban, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        obj.by, obj.by_name, obj.reason = request.user, request.user.username, obj.reason.strip().rstrip(".")
        super().save_model(request, obj, form, change)

    @admin.action(description="Lift: they may take part again", permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Ban]) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # as above
        lifted = [ban for ban in queryset if ban_lift(ban, by=request.user)]
        for ban in lifted:
            self.log_change(request, ban, "lifted")
        self.message_user(request, f"{len(lifted)} ban(s) lifted.", messages.SUCCESS)
