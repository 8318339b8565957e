"""What a page shows: the messages of a conversation as HTML, and the history beside them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.conversations.markdown import render, render_user
from apps.conversations.models import UNFINISHED, Conversation, Generation, GenerationState, Message, Role
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.conversations import conversations_owned, failure_of, path_list

HISTORY_LIMIT = 200
"""The side bar shows the newest ones; older ones stay reachable by their address."""

_HISTORY_GROUPS = (
    (timedelta(days=1), "Today"),
    (timedelta(days=2), "Yesterday"),
    (timedelta(days=7), "Previous 7 days"),
    (timedelta(days=30), "Previous 30 days"),
)


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as a page shows it; the fields from `generation` on are None for a user's."""

    id: UUID
    role: str
    html: str
    model_name: str
    generation: UUID | None
    state: str
    error: Failure | None
    tokens_per_s: float | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class HistoryItem:
    id: UUID
    title: str
    url: str
    is_current: bool
    is_running: bool


@dataclass(frozen=True, slots=True)
class HistoryGroup:
    """Conversations of about one age, newest first."""

    label: str
    items: list[HistoryItem]


def messages_shown(conversation: Conversation) -> list[ShownMessage]:
    """The path as a page shows it."""
    return [_shown(message) for message in path_list(conversation)]


def history_list(actor: Actor, *, current: UUID | None = None) -> list[HistoryGroup]:
    """The newest `HISTORY_LIMIT` conversations by age, in one query."""
    running = Generation.objects.filter(conversation=OuterRef("pk"), state__in=UNFINISHED)
    newest = conversations_owned(actor).annotate(is_running=Exists(running)).order_by("-updated_at")[:HISTORY_LIMIT]
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    groups: dict[str, list[HistoryItem]] = {}
    for conversation in newest:
        age = midnight - conversation.updated_at
        label = next((label for limit, label in _HISTORY_GROUPS if age <= limit), "Older")
        groups.setdefault(label, []).append(
            HistoryItem(
                id=conversation.public_id,
                title=conversation.title,
                url=conversation_url(conversation.public_id),
                is_current=conversation.public_id == current,
                is_running=conversation.is_running,
            )
        )
    return [HistoryGroup(label, items) for label, items in groups.items()]


def conversation_url(public_id: UUID) -> str:
    return reverse("chat:conversation", args=[public_id])


def _shown(message: Message) -> ShownMessage:
    is_answer = message.role == Role.ASSISTANT
    generation = message.generation if is_answer else None
    return ShownMessage(
        id=message.public_id,
        role=message.role,
        html=render(message.content) if is_answer else render_user(message.content),
        model_name=str(message.model) if message.model else "",
        generation=generation.public_id if generation else None,
        state=generation.state if generation else GenerationState.COMPLETE,
        error=failure_of(generation) if generation else None,
        tokens_per_s=generation.tokens_per_s if generation else None,
        completion_tokens=generation.completion_tokens if generation else None,
    )
