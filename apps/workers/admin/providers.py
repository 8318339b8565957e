"""The admin's page of providers: address, key, limits, and which of their models are offered under which name.

A key goes in and never comes out: the page tells that there is one, and how it ends.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.catalog.models import Kind as ModelKind
from apps.workers.admin.pool import PoolMemberAdmin
from apps.workers.errors import ProviderWrong
from apps.workers.models import HostedModel, Provider
from apps.workers.providers import kinds
from apps.workers.services import providers

if TYPE_CHECKING:
    _ProviderForm = forms.ModelForm[Provider]
    _HostedForm = forms.ModelForm[HostedModel]
    _HostedFormSet = forms.BaseInlineFormSet[HostedModel, Provider, "MappedModelForm"]
else:
    _ProviderForm = _HostedForm = forms.ModelForm  # generic in its stubs only
    _HostedFormSet = forms.BaseInlineFormSet

LIMITS = ("max_requests_per_minute", "max_tokens_per_minute", "max_running")


class ProviderForm(_ProviderForm):
    """Checks by the rules of the services, before anything is stored."""

    kind = forms.ChoiceField(choices=kinds.choices, widget=UnfoldAdminSelectWidget)
    base_url = forms.CharField(
        required=False,
        max_length=200,
        label="Address",
        widget=UnfoldAdminTextInputWidget,
        help_text="With the version at its end, such as http://10.0.0.5:8000/v1. Blank: where the kind always is.",
    )
    key = forms.CharField(
        required=False,
        max_length=1000,
        label="New key",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),  # never filled in
        help_text="Stored encrypted, sent to this address alone and shown nowhere. Blank: stays as it is. Another "
        "address needs it again.",
    )

    class Meta:
        model = Provider
        fields = ("label", "weight", *LIMITS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.fields.pop("kind")
            self.initial["base_url"] = self.instance.base_url

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        name = self.instance.kind or cleaned.get("kind", "")
        if not self.errors:
            try:
                kind = providers.kind_get(name)
                cleaned["base_url"] = providers.base_url_checked(kind, cleaned["base_url"] or kind.base_url)
                providers.key_checked(kind, self.instance, cleaned["base_url"], cleaned["key"])
            except ProviderWrong as exc:
                raise forms.ValidationError(exc.message) from exc
        return cleaned

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"].strip()
        if not label or Provider.objects.filter(label=label).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("A provider needs a name that no other one has.")
        return label


AS_KNOWN = ("", "as known; a new model writes")


class MappedModelForm(_HostedForm):
    """One model of the provider and its name here. In a new row what is left blank stays as it is known."""

    name = forms.CharField(max_length=200, label="Name here", widget=UnfoldAdminTextInputWidget)
    context_length = forms.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, label="Context, tokens", widget=UnfoldAdminIntegerFieldWidget
    )
    makes = forms.ChoiceField(
        required=False, choices=[AS_KNOWN, *ModelKind.choices], label="What it does", widget=UnfoldAdminSelectWidget
    )

    sees = forms.ChoiceField(
        required=False,
        choices=[("", "as known; a new model does not"), ("yes", "Yes"), ("no", "No")],
        label="Sees images",
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = HostedModel
        fields = ("upstream_name", "longest_answer")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["upstream_name"].required = True
        if self.instance.pk is not None:
            model = self.instance.model
            self.initial.update(name=model.name, context_length=model.context_length, makes=model.kind)
            self.initial["sees"] = "yes" if model.sees_images else "no"
            self.fields["name"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                said = self._said()
                providers.mapping_checked(
                    self.instance.worker_id, **{name: said[name] for name in said if name != "sees_images"}
                )
            except ProviderWrong as exc:
                raise forms.ValidationError(exc.message) from exc
        return cleaned

    def save(self, commit: bool = True) -> HostedModel:
        return providers.model_map(self.instance.worker, **self._said())

    def _said(self) -> dict[str, Any]:
        """For the services, to which None says nothing: a length that an admin cleared is 0 there."""
        cleaned = self.cleaned_data
        said = {name: cleaned[name] for name in ("name", "upstream_name", "context_length", "longest_answer")}
        if self.instance.pk is not None:
            said |= {name: said[name] or 0 for name in ("context_length", "longest_answer")}
        kind = ModelKind(cleaned["makes"]) if cleaned["makes"] else None
        return said | {"kind": kind, "sees_images": cleaned["sees"] == "yes" if cleaned["sees"] else None}


class MappedModelFormSet(_HostedFormSet):
    """All models of one provider."""

    def clean(self) -> None:
        super().clean()
        kept = [form for form in self.forms if form not in self.deleted_forms]
        names = [name for form in kept if (name := form.cleaned_data.get("name"))]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise forms.ValidationError(f"{twice[0]} is here twice. A provider offers one model under a name.")


class MappedModelInline(TabularInline):
    model = HostedModel
    fk_name = "worker"
    form = MappedModelForm
    formset = MappedModelFormSet
    extra = 1
    fields = ("name", "upstream_name", "makes", "sees", "context_length", "longest_answer")
    verbose_name = "model"
    verbose_name_plural = "models of this provider"


@admin.register(Provider)
class ProviderAdmin(PoolMemberAdmin):
    form = ProviderForm
    list_display = (
        "label",
        "vendor",
        "base_url",
        "state",
        "models",
        "queue",
        "key_hint",
        "checked_at",
        "check_problem",
        "last_error",
    )
    list_filter = ("kind", "is_drained")
    search_fields = ("label", "base_url", "hosted__model__name", "hosted__upstream_name")
    inlines = (MappedModelInline,)
    readonly_fields = (
        "vendor",
        "key_hint",
        "state",
        "queue",
        "rests_until",
        "cooling_until",
        "checked_at",
        "check_problem",
        "last_error",
        "last_error_at",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("workers.add_provider"))

    def get_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        asked = ("label", "base_url", "key", "weight", *LIMITS)
        return ("kind", *asked) if obj is None else (*asked, *self.readonly_fields)

    def get_form(self, request: HttpRequest, obj: Provider | None = None, change: bool = False, **kwargs: Any) -> Any:
        # Fields that are the form's own are not the model's.
        kwargs["fields"] = ("label", "weight", *LIMITS)
        return super().get_form(request, obj, change, **kwargs)

    @method_decorator(sensitive_post_parameters("key"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ProviderWrong as exc:
            # Between the form's check and the save somebody else has changed what it rests on. All of it is undone.
            self.message_user(request, f"Nothing was saved. {exc.message}", messages.ERROR)
            return redirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Provider, form: ProviderForm, change: bool) -> None:
        cleaned = form.cleaned_data
        if change:
            providers.provider_change(obj, base_url=cleaned["base_url"], key=cleaned["key"])
        else:
            made = providers.provider_create(
                label=obj.label, kind=cleaned["kind"], base_url=cleaned["base_url"], key=cleaned["key"]
            )
            obj.pk, obj.public_id = made.pk, made.public_id
        Provider.objects.filter(pk=obj.pk).update(
            **{field: getattr(obj, field) for field in ("label", "weight", *LIMITS)}
        )
        obj.refresh_from_db()

    @admin.display(description="kind", ordering="kind")
    def vendor(self, provider: Provider) -> str:
        kind = kinds.KINDS.get(provider.kind)
        return kind.label if kind is not None else provider.kind

    @admin.display(description="key")
    def key_hint(self, provider: Provider) -> str:
        if not provider.sealed_token:
            return "none"
        return f"set, ends with {provider.token_hint}" if provider.token_hint else "set"
