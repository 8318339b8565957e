"""Django's registration of this app."""

from django.apps import AppConfig


class HoldsConfig(AppConfig):
    name = "apps.holds"
    label = "holds"
    verbose_name = "Legal holds"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.holds import signals  # noqa: F401  # connects the receiver
