"""What is looked for, and what is done about it."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget

from apps.moderation.models import Classifier, Policy, Rule
from apps.moderation.selectors import decided, policy_columns, policy_table

if TYPE_CHECKING:
    _ClassifierForm = forms.ModelForm[Classifier]
else:
    _ClassifierForm = forms.ModelForm  # generic in its stubs only


@admin.register(Rule)
class RuleAdmin(ModelAdmin):
    list_display = ("name", "category", "kind", "is_active")
    list_filter = ("kind", "is_active")
    search_fields = ("name", "category")


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    list_display = ("surface", "direction", "category_shown", "action")
    list_filter = ("surface", "direction", "action")
    list_before_template = "admin/moderation/policies.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        rules = decided()
        table = {
            "policy_columns": [(surface.label, direction) for surface, direction in policy_columns()],
            "policy_rows": policy_table(rules),
            "looks": rules.looks,
        }
        response: HttpResponse = super().changelist_view(request, (extra_context or {}) | table)
        return response

    @admin.display(description="category", ordering="category")
    def category_shown(self, policy: Policy) -> str:
        return policy.category or "everything else"


class ClassifierForm(_ClassifierForm):
    """A key goes in and never comes out."""

    key = forms.CharField(
        required=False,
        max_length=1000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, sent to this address alone and shown nowhere. Blank: stays as it is. Another "
        "address needs it again.",
    )

    class Meta:
        model = Classifier
        fields = ("name", "base_url", "model_name", "timeout_s", "judges_images", "is_active")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        is_moved = "base_url" in self.changed_data and bool(self.initial.get("base_url"))
        if is_moved and self.instance.sealed_key and not cleaned.get("key"):
            raise forms.ValidationError("The address has changed: give the key again, or it would go somewhere else.")
        return cleaned

    def save(self, commit: bool = True) -> Classifier:
        if secret := self.cleaned_data["key"]:
            self.instance.key = secret
        return super().save(commit)


@admin.register(Classifier)
class ClassifierAdmin(ModelAdmin):
    form = ClassifierForm
    list_display = ("name", "base_url", "model_name", "timeout_s", "judges_images", "has_key", "is_active")
    readonly_fields = ("has_key",)
    fields = ("name", "base_url", "key", "has_key", "model_name", "timeout_s", "judges_images", "is_active")

    def get_form(self, request: HttpRequest, obj: Classifier | None = None, change: bool = False, **kwargs: Any) -> Any:
        # A field that is the form's own is not the model's.
        kwargs["fields"] = ClassifierForm.Meta.fields
        return super().get_form(request, obj, change, **kwargs)

    @admin.display(description="has a key", boolean=True)
    def has_key(self, classifier: Classifier) -> bool:
        return bool(classifier.sealed_key)
