"""The trace that somebody leaves who opens another's conversation."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from apps.conversations.models import Conversation


def conversation_opened(conversation: Conversation, *, reader_pk: int, why: str = "") -> None:
    """Write down who opened it, when, and why."""
    LogEntry.objects.create(
        user_id=reader_pk,
        content_type=ContentType.objects.get_for_model(Conversation),
        object_id=str(conversation.pk),
        object_repr=str(conversation),
        action_flag=CHANGE,
        change_message=f"Opened a private conversation{why}.",
    )
