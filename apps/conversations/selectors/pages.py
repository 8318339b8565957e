"""What a page shows of a conversation: its messages as HTML."""

from dataclasses import dataclass
from uuid import UUID

from apps.conversations.markdown import render, render_user
from apps.conversations.models import Conversation, Feedback, GenerationState, Message, Role
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.conversations import (
    failure_of,
    generation_of,
    messages_get,
)
from apps.conversations.selectors.tree import Siblings, tree_get


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as a page shows it; the fields from `generation` on are None for a user's."""

    id: UUID
    role: str
    html: str
    model_name: str
    is_imported: bool
    generation: UUID | None
    state: str
    error: Failure | None
    tokens_per_s: float | None
    completion_tokens: int | None
    finish_reason: str
    siblings: Siblings
    thumb: str
    """`up`, `down`, or nothing: what its reader thought of it."""


def messages_shown(conversation: Conversation) -> list[ShownMessage]:
    """The path as a page shows it, in two queries."""
    tree = tree_get(conversation.pk)
    messages = messages_get(tree.path(conversation.active_leaf_id))
    return [_shown(message, tree.siblings(message.pk)) for message in messages]


def _shown(message: Message, siblings: Siblings) -> ShownMessage:
    is_answer = message.role == Role.ASSISTANT
    generation = generation_of(message) if is_answer else None
    return ShownMessage(
        id=message.public_id,
        role=message.role,
        html=render(message.content) if is_answer else render_user(message.content),
        model_name=message.author,
        is_imported=message.is_imported,
        generation=generation.public_id if generation else None,
        state=generation.state if generation else GenerationState.COMPLETE,
        error=failure_of(generation) if generation else None,
        tokens_per_s=generation.tokens_per_s if generation else None,
        completion_tokens=generation.completion_tokens if generation else None,
        finish_reason=generation.finish_reason if generation else "",
        siblings=siblings,
        thumb=_thumb(message) if is_answer else "",
    )


def _thumb(message: Message) -> str:
    feedback: Feedback | None = getattr(message, "feedback", None)
    if feedback is None:
        return ""
    return "up" if feedback.is_good else "down"
