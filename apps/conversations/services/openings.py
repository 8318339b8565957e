"""The trace that somebody leaves who opens another's conversation."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.conversations.models import Conversation, Purpose
from apps.conversations.selectors.history import conversation_url
from apps.moderation.services.openings import opening_record


def conversation_opened(conversation: Conversation, *, reader: User, why: str) -> None:
    """Write down who opened it, when, and why: for its owner, and in the admin's log of the conversation."""
    opening_record(
        reader=reader,
        owner=Actor(
            user_id=conversation.user_id,
            visitor_public_id=None if conversation.visitor is None else conversation.visitor.public_id,
            api_key_id=conversation.api_key_id,
        ),
        what=str(conversation),
        # The chat's doors do not open a side of a battle.
        address=conversation_url(conversation.public_id) if conversation.purpose == Purpose.CHAT else "",
        why=why,
    )
    LogEntry.objects.create(
        user_id=reader.pk,
        content_type=ContentType.objects.get_for_model(Conversation),
        object_id=str(conversation.pk),
        object_repr=str(conversation),
        action_flag=CHANGE,
        change_message=f"Opened a private conversation: {why}.",
    )
