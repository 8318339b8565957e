"""Whole chats, to be written to a file."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from uuid import UUID

from apps.accounts.actors import Actor
from apps.conversations.models import Conversation, Message
from apps.conversations.selectors.conversations import conversation_get, conversations_owned
from apps.conversations.selectors.tree import Node, Tree

AT_ONCE = 20
"""Chats that are in memory together."""


@dataclass
class WholeChat:
    """A chat with the messages of all branches, parents first."""

    conversation: Conversation
    messages: list[Message]

    @cached_property
    def shown(self) -> list[Message]:
        """The path that a page shows."""
        tree = Tree(Node(m.pk, m.parent_id, m.public_id) for m in self.messages)
        by_key = {message.pk: message for message in self.messages}
        return [by_key[key] for key in tree.path(self.conversation.active_leaf_id)]

    @cached_property
    def public_ids(self) -> dict[int, str]:
        return {message.pk: str(message.public_id) for message in self.messages}


def chat_whole_get(actor: Actor, conversation_id: UUID) -> WholeChat:
    """Raises: ChatNotFound."""
    return _whole([conversation_get(actor, conversation_id)])[0]


def chats_whole_after(actor: Actor, last_pk: int) -> list[WholeChat]:
    """The next `AT_ONCE` chats of this person by key, in two queries; none at the end."""
    return _whole(list(conversations_owned(actor).filter(pk__gt=last_pk).order_by("pk")[:AT_ONCE]))


def _whole(conversations: list[Conversation]) -> list[WholeChat]:
    messages = Message.objects.filter(conversation__in=conversations).select_related("model", "generation")
    ordered = messages.order_by("conversation_id", "pk")
    grouped = {key: list(group) for key, group in groupby(ordered, key=lambda message: message.conversation_id)}
    return [WholeChat(conversation, grouped.get(conversation.pk, [])) for conversation in conversations]
