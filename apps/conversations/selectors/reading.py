"""What a reader needs to know. Readers act for nobody, so no owner is asked for here: no door may call these."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict
from uuid import UUID

from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.conversations.hints import Hint
from apps.conversations.image_marks import ImageMark, image_ids, parts_of
from apps.conversations.markdown.thoughts import without_thoughts
from apps.conversations.models import UNFINISHED, Conversation, Generation, GenerationState, Purpose, Role
from apps.conversations.outcomes import Outcome
from apps.conversations.selectors.conversations import failure_of, hint_of, messages_get
from apps.conversations.selectors.images import data_urls, images_of
from apps.conversations.selectors.tree import tree_get


class PromptMessage(TypedDict):
    """A message as the worker gets it, in OpenAI's shape."""

    role: str
    content: str | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ReadingJob:
    """All that a reader needs to know before it reads a generation. `outcome` is set once it has ended."""

    generation_id: UUID
    conversation_pk: int
    purpose: Purpose
    hint: Hint
    """What its owner's pages are told when it ends."""
    owner: Actor
    """On whose behalf the model is asked."""
    model_name: str
    worker_id: int | None
    text: str
    n_given_chars: int
    """So much of the text was there before it was asked for."""
    age: timedelta
    ttft_ms: int | None
    is_stop_requested: bool
    outcome: Outcome | None


def call_body(conversation_pk: int, *, before: UUID) -> dict[str, Any]:
    """What the worker is asked for generation `before`: the chat's prompt and messages, and how to draw words."""
    chat = Conversation.objects.only("system_prompt", "sampling").get(pk=conversation_pk)
    messages = prompt_messages(conversation_pk, before=before)
    goes_on = {"continue_final_message": True} if messages[-1]["role"] == Role.ASSISTANT else {}
    if chat.system_prompt:
        messages.insert(0, {"role": "system", "content": chat.system_prompt})
    return {**chat.sampling, "messages": messages, **goes_on}


def prompt_messages(conversation_pk: int, *, before: UUID) -> list[PromptMessage]:
    """What was said: the path to the message that generation `before` is to write; of that one only what is given.

    What a model thought before it answered is left out, and so are answers that failed without a word. What a user said
    twice in a row is joined: many chat templates insist that the two sides take turns.
    """
    generation = Generation.objects.select_related("message").get(public_id=before)
    *earlier, _ = tree_get(conversation_pk).path(generation.message_id)
    prompt: list[PromptMessage] = []
    messages = messages_get(earlier)
    images = data_urls(images_of(messages)) if any(image_ids(message.content) for message in messages) else {}
    for message in messages:
        content = without_thoughts(message.content) if message.role == Role.ASSISTANT else message.content
        if not content:
            continue
        if prompt and prompt[-1]["role"] == message.role:
            prompt[-1]["content"] = f"{prompt[-1]['content']}\n\n{content}"
        else:
            prompt.append({"role": message.role, "content": content})
    for said in prompt if images else []:
        if said["role"] == Role.USER and isinstance(said["content"], str):
            said["content"] = _in_parts(said["content"], images)
    if generation.n_given_chars:
        prompt.append({"role": Role.ASSISTANT, "content": generation.message.content[: generation.n_given_chars]})
    return prompt


def _in_parts(text: str, images: dict[UUID, str]) -> str | list[dict[str, Any]]:
    """With the images that it shows in their places; a mark that leads nowhere is text."""
    if not any(image_id in images for image_id in image_ids(text)):
        return text
    parts: list[dict[str, Any]] = []
    for part in parts_of(text):
        if isinstance(part, ImageMark) and part.id in images:
            parts.append({"type": "image_url", "image_url": {"url": images[part.id]}})
        else:
            parts.append({"type": "text", "text": part if isinstance(part, str) else part.words})
    return parts


def reading_job_get(generation_id: UUID) -> ReadingJob | None:
    """For readers, which act for nobody: no owner is asked for. None if the conversation was deleted."""
    generation = (
        Generation.objects.filter(public_id=generation_id)
        .select_related("message", "message__model", "conversation__visitor", "conversation__active_leaf")
        .annotate(now=Now())
        .first()
    )
    if generation is None:
        return None
    model = generation.message.model
    return ReadingJob(
        generation_id=generation_id,
        conversation_pk=generation.conversation_id,
        purpose=Purpose(generation.conversation.purpose),
        hint=hint_of(generation.conversation),
        owner=_owner(generation.conversation),
        model_name=model.name if model else "",
        worker_id=generation.worker_id,
        text=generation.message.content,
        n_given_chars=generation.n_given_chars,
        age=generation.now - generation.created_at,
        ttft_ms=generation.ttft_ms,
        is_stop_requested=generation.is_stop_requested,
        outcome=None if generation.state in UNFINISHED else _outcome(generation),
    )


def generations_orphaned(limit: int) -> list[UUID]:
    """Unfinished generations whose reader has not saved for too long, the longest first."""
    orphans = Generation.objects.filter(state__in=UNFINISHED, reader_lease_expires_at__lt=Now())
    return list(orphans.order_by("reader_lease_expires_at").values_list("public_id", flat=True)[:limit])


def _owner(conversation: Conversation) -> Actor:
    visitor = conversation.visitor
    return Actor(
        user_id=conversation.user_id,
        visitor_public_id=visitor.public_id if visitor else None,
        api_key_id=conversation.api_key_id,
    )


def _outcome(generation: Generation) -> Outcome:
    return Outcome(
        state=GenerationState(generation.state),
        finish_reason=generation.finish_reason,
        error=failure_of(generation),
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        ttft_ms=generation.ttft_ms,
        tokens_per_s=generation.tokens_per_s,
    )
