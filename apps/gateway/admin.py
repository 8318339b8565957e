"""Admin page of the web backends: weights and switches to change, health to see."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.gateway.models import WebBackend


@admin.register(WebBackend)
class WebBackendAdmin(ModelAdmin):
    list_display = ("name", "address", "weight", "is_enabled", "is_healthy", "problem", "checked_at")
    list_filter = ("is_enabled", "is_healthy")
    search_fields = ("name", "host")
    readonly_fields = ("is_healthy", "problem", "checked_at")

    def save_model(self, request: HttpRequest, obj: WebBackend, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        messages.info(request, "Run `manage.py gateway_config --reload` where nginx runs to put this into effect.")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        messages.info(request, "Run `manage.py gateway_config --reload` where nginx runs to put this into effect.")
