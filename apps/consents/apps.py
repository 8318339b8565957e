"""Django's registration of this app."""

from django.apps import AppConfig


class ConsentsConfig(AppConfig):
    name = "apps.consents"
    label = "consents"
    verbose_name = "Consents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.consents import signals  # noqa: F401  # connects the receiver
