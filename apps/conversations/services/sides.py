"""Conversations that are a side of a battle. Whoever calls has asked whose they are and who may: `apps.arena` does."""

from dataclasses import dataclass

from django.utils import timezone

from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.models import Conversation, Purpose
from apps.conversations.services.turns import Turn, answer_begin, question_create
from apps.conversations.texts import title_from


@dataclass(frozen=True, slots=True)
class SideOwner:
    """Whose it is, as in a conversation's row."""

    user_id: int | None
    visitor_id: int | None
    api_key_id: int | None


def side_create(owner: SideOwner, *, text: str, settings: ChatSettings) -> Conversation:
    """An empty one, named after the first message. `settings`: how the side is asked all through the battle."""
    return Conversation.objects.create(
        purpose=Purpose.BATTLE_SIDE,
        user_id=owner.user_id,
        visitor_id=owner.visitor_id,
        api_key_id=owner.api_key_id,
        title=title_from(text),
        system_prompt=settings.system_prompt,
        sampling=settings.sampling,
        updated_at=timezone.now(),
    )


def side_ask(*, conversation: Conversation, model: LanguageModel, text: str) -> Turn:
    """Add a message and the empty answer to it. The database refuses a second unfinished answer."""
    question = question_create(conversation, conversation.active_leaf_id, text)
    answer, generation = answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation)
