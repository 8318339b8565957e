"""Admin pages of privacy: erasures that somebody asked for by letter, and legal holds."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.core.admin import RecordAdmin
from apps.holds.errors import NotInForce
from apps.holds.models import HeldKind, LegalHold
from apps.holds.selectors import holds_in_force
from apps.holds.services import hold_lift, hold_place
from apps.privacy.errors import StaffNotErased, SubjectUnknown
from apps.privacy.models import ErasureRequest, ForgottenCount, RetentionPeriod
from apps.privacy.services.erasures import erasure_ask, erasures_wake
from apps.privacy.services.subjects import held_named, user_named, visitor_named
from apps.privacy.tasks import erasures_nudge

if TYPE_CHECKING:
    _ErasureForm = forms.ModelForm[ErasureRequest]
    _HoldForm = forms.ModelForm[LegalHold]
else:
    _ErasureForm = _HoldForm = forms.ModelForm  # generic in its stubs only


class AddOnlyAdmin(ModelAdmin):
    """Rows that are made here and then only looked at."""

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class ErasureForm(_ErasureForm):
    """Whoever is named is gone afterwards, and the name is not kept."""

    who = forms.CharField(
        max_length=254,
        widget=UnfoldAdminTextInputWidget,
        help_text="A user name or e-mail address, or the id of a visitor. The account is closed at once, and all that "
        "is theirs is erased; nobody can bring it back.",
    )

    class Meta:
        model = ErasureRequest
        fields: tuple[str, ...] = ()

    def clean_who(self) -> User | UUID:
        named: str = self.cleaned_data["who"]
        try:
            found = user_named(named)
        except SubjectUnknown:
            try:
                return visitor_named(named)
            except SubjectUnknown as exc:
                raise forms.ValidationError(exc.message) from exc
        if found.is_staff:
            raise forms.ValidationError(StaffNotErased().message)
        return found


@admin.register(ErasureRequest)
class ErasureAdmin(AddOnlyAdmin):
    list_display = ("__str__", "state", "asked_at", "entered_by", "due_at", "ended_at")
    list_filter = ("state", "asked_at")
    list_select_related = ("entered_by",)
    form = ErasureForm

    def get_fields(self, request: HttpRequest, obj: ErasureRequest | None = None) -> tuple[str, ...]:
        shown = ("public_id", "state", "found", "is_hold_told", "asked_at", "entered_by", "due_at", "ended_at")
        return ("who",) if obj is None else shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **(kwargs | {"fields": ()}))

    def save_model(self, request: HttpRequest, obj: ErasureRequest, form: ErasureForm, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        who = form.cleaned_data["who"]
        user, visitor = (who, None) if isinstance(who, User) else (None, who)
        asked = erasure_ask(user=user, visitor_public_id=visitor, entered_by=request.user)
        obj.pk, obj.public_id = asked.pk, asked.public_id
        erasures_nudge()


class HoldForm(_HoldForm):
    """What is to be kept is named as people know it."""

    named = forms.CharField(
        max_length=254,
        label="name or id",
        widget=UnfoldAdminTextInputWidget,
        help_text="The name of a user, or the id of a visitor, a conversation or a battle.",
    )

    class Meta:
        model = LegalHold
        fields = ("kind", "reason", "is_told")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "kind" in cleaned and "named" in cleaned:
            try:
                cleaned["found"] = held_named(HeldKind(cleaned["kind"]), cleaned["named"])
            except SubjectUnknown as exc:
                raise forms.ValidationError({"named": exc.message}) from exc
            if holds_in_force().filter(subject=cleaned["found"][0]).exists():
                raise forms.ValidationError({"named": "There is a hold on this already."})
        return cleaned


@admin.register(LegalHold)
class LegalHoldAdmin(AddOnlyAdmin):
    list_display = ("__str__", "subject", "is_told", "placed_by", "placed_at", "lifted_by", "lifted_at")
    list_filter = ("kind", "placed_at", "lifted_at")
    list_select_related = ("placed_by", "lifted_by")
    search_fields = ("subject",)
    actions = ("lift",)
    form = HoldForm

    def get_fields(self, request: HttpRequest, obj: LegalHold | None = None) -> tuple[str, ...]:
        shown = ("kind", "subject", "reason", "is_told", "placed_by", "placed_at", "lifted_by", "lifted_at")
        return ("kind", "named", "reason", "is_told") if obj is None else shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **(kwargs | {"fields": HoldForm.Meta.fields}))

    def save_model(self, request: HttpRequest, obj: LegalHold, form: HoldForm, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        subject, also = form.cleaned_data["found"]
        placed = hold_place(
            kind=HeldKind(obj.kind),
            subject=subject,
            also=also,
            reason=obj.reason,
            is_told=obj.is_told,
            placed_by=request.user,
        )
        obj.pk, obj.subject = placed.pk, placed.subject

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("holds.change_legalhold")

    @admin.action(description="Lift: what waits for it goes on", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[LegalHold]) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        n_lifted = 0
        for hold in queryset:
            try:
                hold_lift(hold, lifted_by=request.user)
            except NotInForce as exc:
                self.message_user(request, f"{hold}: {exc.message}", messages.WARNING)
                continue
            self.log_change(request, hold, "lifted by action")
            n_lifted += 1
        erasures_wake()
        erasures_nudge()
        self.message_user(request, f"{n_lifted} hold(s) lifted.", messages.SUCCESS)


@admin.register(RetentionPeriod)
class RetentionPeriodAdmin(ModelAdmin):
    list_display = ("kind", "days")


@admin.register(ForgottenCount)
class ForgottenCountAdmin(RecordAdmin):
    """What was forgotten by itself, day by day."""

    list_display = ("day", "kind", "n_rows")
    list_filter = ("kind", "day")
