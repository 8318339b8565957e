"""Branches of a conversation: show another one, or take one into a conversation of its own."""

from uuid import UUID

from django.db import transaction

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import AnswerRunning
from apps.conversations.models import UNFINISHED, Conversation, Message, Role
from apps.conversations.selectors.conversations import (
    conversation_get,
    end_of,
    generation_of,
    message_get,
    messages_get,
)
from apps.conversations.selectors.tree import tree_get
from apps.conversations.services.planting import Seed, messages_plant, require_room
from apps.conversations.services.turns import conversation_create, conversation_lock, require_may_chat


def branch_show(*, actor: Actor, conversation_id: UUID, message_id: UUID) -> Conversation:
    """Show the branch of this message alone, down to what was written last in it. It does not count as a change.

    Raises: SignInRequired, ChatNotFound, AnswerRunning.
    """
    with transaction.atomic():
        conversation = conversation_lock(actor, conversation_id)
        require_may_chat(actor)
        message = message_get(conversation, message_id)
        conversation.active_leaf_id = tree_get(conversation.pk).newest_leaf(message.pk)
        conversation.columns = []
        conversation.save(update_fields=["active_leaf", "columns"])
    return conversation


def conversation_fork(*, actor: Actor, conversation_id: UUID, message_id: UUID) -> Conversation:
    """Copy the path to this message, and nothing else, into a new conversation.

    Raises: SignInRequired, ChatNotFound, AnswerRunning, TooManyChats.
    """
    source = conversation_get(actor, conversation_id)
    require_may_chat(actor)
    require_room(actor, 1)
    message = message_get(source, message_id)
    path = messages_get(tree_get(source.pk).path(message.pk))
    if any((generation := generation_of(m)) is not None and generation.state in UNFINISHED for m in path):
        raise AnswerRunning
    seeds = [_seed(index - 1 if index else None, message) for index, message in enumerate(path)]
    with transaction.atomic():
        fork = conversation_create(actor, source.title, ChatSettings(source.system_prompt, source.sampling))
        fork.active_leaf = messages_plant(fork, seeds)[-1]
        fork.save(update_fields=["active_leaf"])
    return fork


def _seed(parent: int | None, message: Message) -> Seed:
    return Seed(
        parent=parent,
        role=Role(message.role),
        content=message.content,
        model=message.model,
        written_by=message.written_by,
        created_at=message.created_at,
        is_imported=message.is_imported,
        end=end_of(message),
    )
