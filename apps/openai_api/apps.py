"""Django's registration of this app."""

from django.apps import AppConfig


class OpenaiApiConfig(AppConfig):
    name = "apps.openai_api"
    label = "openai_api"
    verbose_name = "OpenAI API"
