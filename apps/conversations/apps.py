"""Django's registration of this app."""

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "apps.conversations"
    label = "conversations"
    verbose_name = "Conversations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.conversations import signals  # noqa: F401  # connects the receivers
        from apps.conversations.kept import ChatKeeper
        from apps.moderation.choices import Surface
        from apps.moderation.kept import keepers

        keepers[Surface.CHAT] = ChatKeeper()
