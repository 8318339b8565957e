"""Django's registration of this app."""

from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    name = "apps.leaderboard"
    label = "leaderboard"
    verbose_name = "Leaderboard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.arena.standings import source_register
        from apps.leaderboard import signals  # noqa: F401  # connects the receivers
        from apps.leaderboard.selectors import standings_get

        source_register(standings_get)
