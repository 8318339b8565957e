"""The composition root as an app of Django's: what each process must have before it works."""

from django.apps import AppConfig


class FastchatSiteConfig(AppConfig):
    name = "fastchat_site"
    verbose_name = "Site"

    def ready(self) -> None:
        # Else tasks go to a broker that nobody has set up, from commands too and from any thread.
        from fastchat_site import celery  # noqa: F401
