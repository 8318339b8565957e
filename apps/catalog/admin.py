"""Admin pages of the catalog."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from apps.catalog.models import LanguageModel


@admin.register(LanguageModel)
class LanguageModelAdmin(ModelAdmin):
    list_display = (
        "name",
        "display_name",
        "kind",
        "organisation",
        "licence",
        "visibility",
        "position",
        "context_length",
        "sees_images",
    )
    list_filter = ("visibility", "kind", "sees_images", "organisation", "licence")
    list_editable = ("visibility", "position")
    search_fields = ("name", "display_name", "organisation")
    readonly_fields = ("public_id", "kind", "context_length", "sees_images", "created_at")
