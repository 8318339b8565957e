"""Django's registration of this app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    verbose_name = "Models"
    default_auto_field = "django.db.models.BigAutoField"
