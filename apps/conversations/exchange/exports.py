"""Chats as files: Markdown and lines of OpenAI messages hold what is shown, our own JSON holds every branch.

Many chats are written one after the other: memory does not grow with them.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Any, assert_never

from apps.accounts.actors import Actor
from apps.conversations.exchange.ours import FORMAT, VERSION
from apps.conversations.models import Conversation, End, Message, Role
from apps.conversations.selectors.conversations import end_of
from apps.conversations.selectors.exchange import WholeChat, chats_whole_after
from apps.core.threads import in_thread


class Format(StrEnum):
    """What an export looks like."""

    MARKDOWN = "md"
    JSON = "json"
    OPENAI = "jsonl"


CONTENT_TYPES = {
    Format.MARKDOWN: "text/markdown; charset=utf-8",
    Format.JSON: "application/json",
    Format.OPENAI: "application/jsonl",
}
_EDGES = {
    Format.MARKDOWN: ("", "\n\n---\n\n", "\n"),
    Format.JSON: (f'{{"format": "{FORMAT}", "version": {VERSION}, "chats": [\n', ",\n", "\n]}\n"),
    Format.OPENAI: ("", "\n", "\n"),
}
"""What stands before, between and after the chats."""


async def chats_export(actor: Actor, wanted: Format) -> AsyncGenerator[str, None]:
    """All chats of this person, also archived ones, the oldest first."""
    before, between, after = _EDGES[wanted]
    yield before
    last_pk, separator = 0, ""
    while chats := await in_thread(chats_whole_after, actor, last_pk):
        for chat in chats:
            if text := chat_text(chat, wanted):
                yield separator + text
                separator = between
        last_pk = chats[-1].conversation.pk
    yield after


def chat_export(chat: WholeChat, wanted: Format) -> str:
    """A file with one chat."""
    before, _, after = _EDGES[wanted]
    return before + chat_text(chat, wanted) + after


def chat_text(chat: WholeChat, wanted: Format) -> str:
    """Its part of a file; empty if it has no messages."""
    if not chat.messages:
        return ""
    match wanted:
        case Format.MARKDOWN:
            return _markdown(chat.conversation, chat.shown)
        case Format.JSON:
            return json.dumps(_ours(chat), ensure_ascii=False)
        case Format.OPENAI:
            return json.dumps({"messages": _openai(chat.conversation, chat.shown)}, ensure_ascii=False)
        case _:
            assert_never(wanted)


def _markdown(conversation: Conversation, shown: Sequence[Message]) -> str:
    parts = [f"# {conversation.title}"]
    if conversation.system_prompt:
        parts += ["## System", conversation.system_prompt]
    for message in shown:
        parts += [f"## {'You' if message.role == Role.USER else _answer_heading(message)}", message.content]
    return "\n\n".join(parts)


def _answer_heading(message: Message) -> str:
    end = end_of(message)
    return (message.author or "Answer") + (f" ({End(end).label.lower()})" if end else "")


def _openai(conversation: Conversation, shown: Sequence[Message]) -> list[dict[str, str]]:
    system = [{"role": "system", "content": conversation.system_prompt}] if conversation.system_prompt else []
    return system + [{"role": message.role, "content": message.content} for message in shown]


def _ours(chat: WholeChat) -> dict[str, Any]:
    conversation = chat.conversation
    return {
        "title": conversation.title,
        "created_at": conversation.created_at.isoformat(),
        "folder": conversation.folder,
        "is_pinned": conversation.is_pinned,
        "is_archived": conversation.is_archived,
        "system_prompt": conversation.system_prompt,
        "sampling": conversation.sampling,
        "active": str(chat.shown[-1].public_id) if chat.shown else None,
        "messages": [_message(message, chat.public_ids) for message in chat.messages],
    }


def _message(message: Message, public_ids: dict[int, str]) -> dict[str, Any]:
    return {
        "id": str(message.public_id),
        "parent": public_ids[message.parent_id] if message.parent_id is not None else None,
        "role": message.role,
        "content": message.content,
        "model": message.model.name if message.model else message.written_by,
        "created_at": message.created_at.isoformat(),
        "end": end_of(message),
    }
