"""Chats that are kept, as scripts see them, and what requests about them must say. OpenAI's API has nothing like it."""

import uuid
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.conversations.chat_settings import NAMES
from apps.conversations.models import Conversation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.conversations import failure_of, generation_of
from apps.conversations.selectors.history import HistoryItem
from apps.conversations.services.turns import Turn
from apps.core.errors import NotFound
from apps.openai_api.errors import InvalidRequest, api_code
from apps.openai_api.known_fields import ignored
from apps.openai_api.shapes import Json, flag, json_object, model_name

FIELDS = frozenset({"message", "conversation", "model", "settings", "stream"})


@dataclass(frozen=True, slots=True)
class Said:
    """A checked request; whether the conversation is the caller's is asked later."""

    text: str
    conversation: UUID | None
    model: str | None
    """None: the one that answered last there, or else the site's first."""
    settings: dict[str, str] | None
    is_stream: bool
    ignored_fields: tuple[str, ...]


def said_read(data: object) -> Said:
    """Raises: InvalidRequest, naming the field; NotFound for an id that is none."""
    body = json_object(data)
    text = body.get("message")
    if text is None:
        raise InvalidRequest(reason="'message' is missing", param="message", api_code="missing_required_parameter")
    if not isinstance(text, str):
        raise InvalidRequest(reason="'message' must be a text", param="message")
    conversation = None if body.get("conversation") is None else chat_id(body["conversation"])
    settings = _settings(body.get("settings"))
    if settings is not None and conversation is not None:
        raise InvalidRequest(reason="'settings' are for a new conversation; an old one keeps its own", param="settings")
    return Said(
        text=text,
        conversation=conversation,
        model=None if body.get("model") is None else model_name(body),
        settings=settings,
        is_stream=flag(body, "stream"),
        ignored_fields=ignored(body, FIELDS),
    )


def chat_id(text: object) -> UUID:
    """Raises: NotFound."""
    try:
        return uuid.UUID(str(text))
    except ValueError as exc:
        raise NotFound from exc


def turn_object(turn: Turn, text: str, outcome: Outcome | None) -> Json:
    """A message and its answer so far; without an outcome it goes on."""
    answer = turn.assistant_message
    state = GenerationState.RUNNING if outcome is None else outcome.state
    return {
        "object": "chat.turn",
        "conversation": str(turn.conversation.public_id),
        "title": turn.conversation.title,
        "message": str(turn.user_message.public_id) if turn.user_message else None,
        "answer": {
            "id": str(answer.public_id),
            "model": answer.model.name if answer.model else None,
            "status": str(state),
            "text": text,
            "finish_reason": outcome.finish_reason or None if outcome else None,
            "usage": _usage(outcome),
            "error": None if outcome is None else _failure(outcome.error),
        },
    }


def list_object(items: list[HistoryItem], older: str) -> Json:
    """`before`: what to ask for next; null at the end."""
    return {"object": "list", "data": [_listed(item) for item in items], "before": older or None}


def chat_object(conversation: Conversation, messages: list[Message]) -> Json:
    return {
        "object": "chat",
        "id": str(conversation.public_id),
        "title": conversation.title,
        "messages": [_message(message) for message in messages],
    }


def _listed(item: HistoryItem) -> Json:
    return {
        "object": "chat",
        "id": str(item.id),
        "title": item.title,
        "folder": item.folder or None,
        "updated_at": int(item.updated_at.timestamp()),
        "is_pinned": item.is_pinned,
        "is_archived": item.is_archived,
        "is_running": item.is_running,
    }


def _message(message: Message) -> Json:
    generation = generation_of(message)
    return {
        "id": str(message.public_id),
        "role": message.role,
        "model": message.model.name if message.model else None,
        "text": message.content,
        "status": str(generation.state if generation else GenerationState.COMPLETE),
        "error": _failure(failure_of(generation)) if generation else None,
    }


def _usage(outcome: Outcome | None) -> Json | None:
    if outcome is None or outcome.prompt_tokens is None or outcome.completion_tokens is None:
        return None
    return {"prompt_tokens": outcome.prompt_tokens, "completion_tokens": outcome.completion_tokens}


def _failure(failure: Failure | None) -> Json | None:
    return None if failure is None else {"code": api_code(failure.code), "message": failure.message}


def _settings(value: Any) -> dict[str, str] | None:
    """As the texts of the form in the page, which says what each may be."""
    if value is None:
        return None
    settings = json_object(value, "settings")
    if unknown := sorted(settings.keys() - NAMES):
        known = ", ".join(sorted(NAMES))
        raise InvalidRequest(reason=f"'settings.{unknown[0]}' is none of {known}", param=f"settings.{unknown[0]}")
    for name, given in settings.items():
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise InvalidRequest(reason=f"'settings.{name}' must be a text or a number", param=f"settings.{name}")
    return {name: given if isinstance(given, str) else repr(given) for name, given in settings.items()}
