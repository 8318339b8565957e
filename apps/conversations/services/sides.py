"""Conversations that are a side of a battle. Whoever calls has asked whose they are and who may: `apps.arena` does."""

from django.utils import timezone

from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Message, Purpose, Role
from apps.conversations.services.turns import Turn, _answer_begin, _checked
from apps.conversations.texts import title_from


def message_checked(text: str) -> str:
    """The text as it may be stored. Raises: EmptyMessage, MessageTooLong."""
    return _checked(text)


def side_create(*, user_id: int | None, visitor_id: int | None, text: str) -> Conversation:
    """An empty one, named after the first message."""
    return Conversation.objects.create(
        purpose=Purpose.BATTLE_SIDE,
        user_id=user_id,
        visitor_id=visitor_id,
        title=title_from(text),
        updated_at=timezone.now(),
    )


def side_ask(*, conversation: Conversation, model: LanguageModel, text: str) -> Turn:
    """Add a message and the empty answer to it. The database refuses a second unfinished answer."""
    question = Message.objects.create(
        conversation=conversation, parent_id=conversation.active_leaf_id, role=Role.USER, content=text
    )
    answer, generation = _answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation)
