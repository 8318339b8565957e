"""What a page is told about a turn that was stored (docs/chat_socket.md, `turn.accepted`)."""

from typing import Any

from apps.conversations.frames import siblings
from apps.conversations.markdown import render_user
from apps.conversations.models import Conversation, Message
from apps.conversations.selectors.history import conversation_url
from apps.conversations.selectors.tree import siblings_get
from apps.conversations.services.beside import TurnBeside
from apps.conversations.services.turns import Turn
from apps.core.frames import Frame


def accepted_beside_frame(ref: str, turn: TurnBeside) -> Frame:
    """The page asks for the messages again, in their columns."""
    return {
        "type": "turn.accepted_beside",
        "ref": ref,
        "conversation": _conversation(turn.conversation),
        "generations": [str(generation.public_id) for generation in turn.generations],
    }


def accepted_frame(ref: str, turn: Turn) -> Frame:
    conversation, question, answer = turn.conversation, turn.user_message, turn.assistant_message
    return {
        "type": "turn.accepted",
        "ref": ref,
        "conversation": _conversation(conversation),
        "after": _before(question if question is not None else answer),
        "user_message": _said(question) if question is not None else None,
        "assistant_message": {
            "id": str(answer.public_id),
            "model": str(answer.model),
            "siblings": siblings(siblings_get(answer)),
        },
        "generation": str(turn.generation.public_id),
    }


def _conversation(conversation: Conversation) -> dict[str, str]:
    return {
        "id": str(conversation.public_id),
        "title": conversation.title,
        "url": conversation_url(conversation.public_id),
    }


def _before(message: Message) -> str | None:
    """The message that this one follows."""
    return str(message.parent.public_id) if message.parent is not None else None


def _said(question: Message) -> dict[str, Any]:
    return {
        "id": str(question.public_id),
        "html": render_user(question.content),
        "siblings": siblings(siblings_get(question)),
    }
