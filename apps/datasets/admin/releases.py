"""Admin pages of releases and takedowns: propose a release, decide about another's, take a row down. Where it is
published is shown, and done by `manage.py dataset publish`. No text of a row is here."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.core.admin import KeptAdmin
from apps.core.charts.alone import standing_alone
from apps.core.errors import SiteError
from apps.datasets.errors import ReleaseRefused
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion
from apps.datasets.names import reference_read
from apps.datasets.release_checks import PAGE_ROWS, is_large
from apps.datasets.release_models import DatasetRelease, Publication, Takedown, TakedownReason, TakenRow
from apps.datasets.selectors import sets_of, version_get
from apps.datasets.services.releases import MAY_DECIDE, decision_of, release_decide, release_propose
from apps.datasets.services.takedowns import takedown_make
from apps.datasets.steps.sampling import chance

if TYPE_CHECKING:
    _ReleaseForm = forms.ModelForm[DatasetRelease]
    _TakedownForm = forms.ModelForm[Takedown]
else:
    _ReleaseForm = _TakedownForm = forms.ModelForm  # generic in its stubs only

_SAMPLED, _LISTED = 10, 100


class RefusingAdmin(KeptAdmin):
    """What a service refuses is said above the form, which is asked for again."""

    def changeform_view(self, request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().changeform_view(request, *args, **more)
        except SiteError as exc:
            self.message_user(request, exc.message, messages.ERROR)
            return redirect(request.path)
        return response


class PublicationInline(TabularInline):
    model = Publication
    extra = 0
    can_delete = False
    fields = readonly_fields = ("place", "state", "revision", "address", "error", "tried_at", "published_at")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class ProposalForm(_ReleaseForm):
    named = forms.CharField(
        max_length=300,
        label="version",
        widget=UnfoldAdminTextInputWidget,
        help_text="As chats@3, or chats@3/train for one of its sets. Of over "
        f"{PAGE_ROWS:,} rows it is proposed with `manage.py dataset release`.",
    )

    class Meta:
        model = DatasetRelease
        fields = ("notes",)


class DecisionForm(_ReleaseForm):
    verdict = forms.ChoiceField(
        choices=[("", "Decide"), ("approve", "Approve: it may be published"), ("decline", "Decline")],
        label="decision",
    )
    why = forms.CharField(widget=UnfoldAdminTextareaWidget, label="reason")

    class Meta:
        model = DatasetRelease
        fields: tuple[str, ...] = ()


@admin.register(DatasetRelease)
class DatasetReleaseAdmin(RefusingAdmin):
    list_display = ("__str__", "state", "proposed_by", "proposed_at", "decided_by", "decided_at", "places")
    list_filter = ("state", "proposed_at")
    list_select_related = ("version__dataset", "proposed_by", "decided_by")
    search_fields = ("version__dataset__name",)
    inlines = (PublicationInline,)
    shown = (
        "public_id", "page", "sets", "licence", "state", "notes", "found", "samples", "charts", "taken",
        "proposed_by", "proposed_at", "decided_by", "decided_at", "is_alone", "reason",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[DatasetRelease]:
        queryset: QuerySet[DatasetRelease] = super().get_queryset(request)
        long = ("card", "charts", "sets", "steps", "recipe", "inputs")
        return queryset.prefetch_related("publications").defer(*(f"version__{name}" for name in long))

    def has_add_permission(self, request: HttpRequest) -> bool:
        may: bool = ModelAdmin.has_add_permission(self, request)
        return may

    def has_change_permission(self, request: HttpRequest, obj: DatasetRelease | None = None) -> bool:
        if obj is None or not isinstance(request.user, User):
            return False
        return decision_of(obj, request.user).is_allowed

    def has_view_permission(self, request: HttpRequest, obj: DatasetRelease | None = None) -> bool:
        may: bool = super().has_view_permission(request, obj)
        return may or request.user.has_perm(MAY_DECIDE)

    def get_fields(self, request: HttpRequest, obj: DatasetRelease | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("named", "notes")
        return (*self.shown, "verdict", "why") if self.has_change_permission(request, obj) else self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: DatasetRelease | None = None) -> tuple[str, ...]:
        return () if obj is None else self.shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = ProposalForm if obj is None else DecisionForm
        return super().get_form(request, obj, change, **(kwargs | {"form": form, "fields": form.Meta.fields}))

    def get_inlines(self, request: HttpRequest, obj: DatasetRelease | None = None) -> Any:
        return self.inlines if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: DatasetRelease, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        asked = form.cleaned_data
        if change:
            is_approved = asked["verdict"] == "approve"
            release_decide(obj, is_approved=is_approved, reason=asked["why"], by=request.user)
            return
        reference = reference_read(asked["named"].strip())
        version = version_get(reference)
        sets = sets_of(version, reference.set_name)
        if is_large(version, sets):
            how = f"`manage.py dataset release {asked['named'].strip()} --by {request.user}`"
            reason = f"to look through over {PAGE_ROWS:,} rows takes longer than a page may: {how} does it"
            raise ReleaseRefused(what=version, reason=reason)
        made = release_propose(version, sets, notes=asked["notes"], by=request.user)
        obj.pk, obj.version, obj.sets = made.pk, made.version, made.sets

    @admin.display(description="published in")
    def places(self, release: DatasetRelease) -> str:
        return ", ".join(f"{one.place} ({one.get_state_display().lower()})" for one in release.publications.all())

    @admin.display(description="version")
    def page(self, release: DatasetRelease) -> SafeString:
        version = release.version
        address = reverse("datasets:version", args=[version.dataset.name, version.number])
        return format_html('<a href="{}">{}, its statistics and its card</a>', address, version)

    @admin.display(description="licence")
    def licence(self, release: DatasetRelease) -> str:
        return release.version.licence

    @admin.display(description="found when it was proposed")
    def found(self, release: DatasetRelease) -> SafeString:
        rows = [(one["name"], "fine" if one["is_fine"] else "look at this", one["words"]) for one in release.checks]
        return format_html("<ul>{}</ul>", format_html_join("", "<li><b>{}</b> ({}): {}</li>", rows))

    @admin.display(description="rows drawn by chance")
    def samples(self, release: DatasetRelease) -> SafeString:
        """Links: whoever opens a row that was made from somebody's chat is written down there."""
        links = [link for name in release.sets for link in _sample(release.version, name, str(release.public_id))]
        return format_html_join(", ", '<a href="{}">{}</a>', links)

    @admin.display(description="charts")
    def charts(self, release: DatasetRelease) -> SafeString:
        drawn = [
            (f"{chart['title']} of {name}", chart["summary"], mark_safe(standing_alone(chart["svg"])))  # noqa: S308  # drawn by the site
            for name in release.sets
            for chart in release.version.charts.get(name, [])
        ]
        figure = '<h3>{}</h3><div class="overflow-x-auto" role="img" aria-label="{}">{}</div>'
        return format_html_join("", figure, drawn)

    @admin.display(description="rows taken down since")
    def taken(self, release: DatasetRelease) -> str:
        rows = TakenRow.objects.filter(version=release.version, set_name__in=release.sets)
        if not (n := rows.count()):
            return "none"
        named = ", ".join(f"{row.set_name}:{row.position}" for row in rows.order_by("set_name", "position")[:_LISTED])
        return f"{n}: {named}{', …' if n > _LISTED else ''}. Make and publish the next version."


def _sample(version: DatasetVersion, set_name: str, seed: str) -> list[tuple[str, str]]:
    n_rows = version.sets[set_name]["n_rows"]
    numbers = sorted({int(chance(0, seed, set_name, str(n)) * n_rows) for n in range(_SAMPLED)}) if n_rows else []
    there = DatasetRow.objects.filter(version=version, set_name=set_name, position__in=numbers, line__isnull=False)
    found = there.order_by("position").values_list("position", flat=True)
    address = [version.dataset.name, version.number, set_name]
    return [(reverse("datasets:row", args=[*address, number]), f"{set_name}:{number}") for number in found]


class TakedownForm(_TakedownForm):
    # A field "dataset" would be taken for one of unfold's own.
    of = forms.ModelChoiceField(Dataset.objects.all(), label="dataset", widget=UnfoldAdminSelectWidget)
    record_id = forms.CharField(
        label="id",
        widget=UnfoldAdminTextInputWidget,
        help_text="Of a row, or of its conversation.",
    )

    class Meta:
        model = Takedown
        fields = ("record_id", "reason", "why")


@admin.register(Takedown)
class TakedownAdmin(RefusingAdmin):
    """Made here, and never taken back: a row that was wrongly taken down is stored again under another id."""

    list_display = ("record_id", "dataset", "reason", "n_rows", "taken_by", "taken_at")
    list_filter = ("reason", "taken_at")
    list_select_related = ("dataset", "taken_by")
    search_fields = ("record_id__exact", "dataset__name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Takedown]:
        queryset: QuerySet[Takedown] = super().get_queryset(request)
        return queryset.annotate(n_taken=Count("rows"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        may: bool = ModelAdmin.has_add_permission(self, request)
        return may

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Takedown | None = None) -> tuple[str, ...]:
        asked = ("record_id", "reason", "why")
        return ("of", *asked) if obj is None else ("dataset", *asked, "where", "taken_by", "taken_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Takedown | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        more = {"form": TakedownForm, "fields": TakedownForm.Meta.fields} if obj is None else {}
        return super().get_form(request, obj, change, **(kwargs | more))

    def save_model(self, request: HttpRequest, obj: Takedown, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # whoever is here is signed in
        obj.dataset, reason = form.cleaned_data["of"], TakedownReason(obj.reason)
        made = takedown_make(obj.dataset, obj.record_id, reason=reason, why=obj.why, by=request.user)
        obj.pk, obj.record_id = made.pk, made.record_id

    @admin.display(description="rows that have it", ordering="n_taken")
    def n_rows(self, takedown: Takedown) -> int:
        n_taken: int = takedown.n_taken  # type: ignore[attr-defined]  # of get_queryset
        return n_taken

    @admin.display(description="rows that have it")
    def where(self, takedown: Takedown) -> str:
        rows = takedown.rows.select_related("version__dataset").order_by("version", "set_name", "position")[:_LISTED]
        return ", ".join(f"{row.version}/{row.set_name}:{row.position}" for row in rows) or "none"
