"""Django's registration of this app."""

from django.apps import AppConfig


class OpenaiApiConfig(AppConfig):
    name = "apps.openai_api"
    label = "openai_api"
    verbose_name = "OpenAI API"

    def ready(self) -> None:
        from apps.moderation.choices import Surface
        from apps.moderation.kept import keepers
        from apps.openai_api.kept import ResponseKeeper

        keepers[Surface.API] = ResponseKeeper()
