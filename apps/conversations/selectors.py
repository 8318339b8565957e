"""Reads of conversations. Whose they are is part of every query: somebody else's is not found."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.conversations.errors import ChatNotFound
from apps.conversations.markdown import render, render_user
from apps.conversations.models import UNFINISHED, Conversation, Generation, GenerationState, Message, Role
from apps.conversations.outcomes import Failure, Outcome

HISTORY_LIMIT = 200
"""The side bar shows the newest ones; older ones stay reachable by their address."""

_HISTORY_GROUPS = (
    (timedelta(days=1), "Today"),
    (timedelta(days=2), "Yesterday"),
    (timedelta(days=7), "Previous 7 days"),
    (timedelta(days=30), "Previous 30 days"),
)


class PromptMessage(TypedDict):
    """A message as the worker gets it, in OpenAI's shape."""

    role: str
    content: str


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


@dataclass(frozen=True, slots=True)
class ReadingJob:
    """All that a reader needs to know before it reads a generation. `outcome` is set once it has ended."""

    generation_id: UUID
    conversation_pk: int
    model_name: str
    worker_id: int | None
    text: str
    age: timedelta
    ttft_ms: int | None
    is_stop_requested: bool
    outcome: Outcome | None


def conversations_owned(actor: Actor) -> QuerySet[Conversation]:
    """The actor's own conversations; none for somebody unknown."""
    if actor.user_id is not None:
        return Conversation.objects.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return Conversation.objects.filter(visitor__public_id=actor.visitor_public_id)
    return Conversation.objects.none()


def conversation_get(actor: Actor, conversation_id: UUID) -> Conversation:
    """Raises: ChatNotFound, also when it is somebody else's."""
    conversation = conversations_owned(actor).filter(public_id=conversation_id).first()
    if conversation is None:
        raise ChatNotFound
    return conversation


def generation_get_owned(actor: Actor, generation_id: UUID) -> Generation:
    """Raises: ChatNotFound, also when it is somebody else's."""
    owned = Generation.objects.filter(public_id=generation_id, conversation__in=conversations_owned(actor))
    generation = owned.first()
    if generation is None:
        raise ChatNotFound
    return generation


def path_list(conversation: Conversation) -> list[Message]:
    """The shown path from the first message to the active leaf, in two queries however long it is."""
    parents = dict(Message.objects.filter(conversation=conversation).values_list("pk", "parent_id"))
    wanted: list[int] = []
    pk = conversation.active_leaf_id
    while pk is not None:
        wanted.append(pk)
        pk = parents.get(pk)
    # A parent is always older than its child, so ids order the path.
    return list(Message.objects.filter(pk__in=wanted).select_related("model", "generation").order_by("pk"))


def messages_shown(conversation: Conversation) -> list[ShownMessage]:
    """The path as a page shows it."""
    return [_shown(message) for message in path_list(conversation)]


def prompt_messages(conversation_pk: int, *, before: UUID) -> list[PromptMessage]:
    """What the worker is asked: the path to the message that generation `before` is to write, without that one.

    Answers that failed without a word are left out, and what a user said twice in a row is joined: many chat templates
    insist that the two sides take turns.
    """
    conversation = Conversation.objects.get(pk=conversation_pk)
    prompt: list[PromptMessage] = []
    for message in path_list(conversation):
        if message.role == Role.ASSISTANT and message.generation.public_id == before:
            break
        if not message.content:
            continue
        if prompt and prompt[-1]["role"] == message.role:
            prompt[-1]["content"] += "\n\n" + message.content
        else:
            prompt.append({"role": message.role, "content": message.content})
    return prompt


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


def reading_job_get(generation_id: UUID) -> ReadingJob | None:
    """For readers, which act for nobody: no owner is asked for. None if the conversation was deleted."""
    generation = (
        Generation.objects.filter(public_id=generation_id)
        .select_related("message", "message__model")
        .annotate(now=Now())
        .first()
    )
    if generation is None:
        return None
    model = generation.message.model
    return ReadingJob(
        generation_id=generation_id,
        conversation_pk=generation.conversation_id,
        model_name=model.name if model else "",
        worker_id=generation.worker_id,
        text=generation.message.content,
        age=generation.now - generation.created_at,
        ttft_ms=generation.ttft_ms,
        is_stop_requested=generation.is_stop_requested,
        outcome=None if generation.state in UNFINISHED else _outcome(generation),
    )


def generations_orphaned(limit: int) -> list[UUID]:
    """Unfinished generations whose reader has not saved for too long, the longest first."""
    orphans = Generation.objects.filter(state__in=UNFINISHED, reader_lease_expires_at__lt=Now())
    return list(orphans.order_by("reader_lease_expires_at").values_list("public_id", flat=True)[:limit])


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
        error=_failure(generation) if generation else None,
        tokens_per_s=generation.tokens_per_s if generation else None,
        completion_tokens=generation.completion_tokens if generation else None,
    )


def _failure(generation: Generation) -> Failure | None:
    if not generation.error_code:
        return None
    return Failure(generation.error_code, generation.error_message, generation.is_error_retryable)


def _outcome(generation: Generation) -> Outcome:
    return Outcome(
        state=GenerationState(generation.state),
        finish_reason=generation.finish_reason,
        error=_failure(generation),
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        ttft_ms=generation.ttft_ms,
        tokens_per_s=generation.tokens_per_s,
    )
