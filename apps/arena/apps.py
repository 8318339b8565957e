"""Django's registration of this app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ArenaConfig(AppConfig):
    name = "apps.arena"
    label = "arena"
    verbose_name = "Arena"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.arena import signals  # connects the receivers
        from apps.arena.kept import ArenaKeeper
        from apps.moderation.choices import Surface
        from apps.moderation.kept import keepers

        keepers[Surface.ARENA] = ArenaKeeper()

        # After the tables are there, as Django's own sites do it.
        post_migrate.connect(signals.open_the_first_arena, sender=self, dispatch_uid="arena.first")
