"""What a page is told about a turn that was stored (docs/chat_socket.md, `turn.accepted`)."""

from typing import Any

from apps.conversations.frames import siblings
from apps.conversations.markdown import render_user
from apps.conversations.models import Message
from apps.conversations.selectors.history import conversation_url
from apps.conversations.selectors.tree import siblings_get
from apps.conversations.services.turns import Turn
from apps.core.frames import Frame


def accepted_frame(ref: str, turn: Turn) -> Frame:
    conversation, question, answer = turn.conversation, turn.user_message, turn.assistant_message
    return {
        "type": "turn.accepted",
        "ref": ref,
        "conversation": {
            "id": str(conversation.public_id),
            "title": conversation.title,
            "url": conversation_url(conversation.public_id),
        },
        "user_message": _said(question) if question is not None else None,
        "assistant_message": {
            "id": str(answer.public_id),
            "model": str(answer.model),
            "siblings": siblings(siblings_get(answer)),
        },
        "generation": str(turn.generation.public_id),
    }


def _said(question: Message) -> dict[str, Any]:
    return {
        "id": str(question.public_id),
        "html": render_user(question.content),
        "siblings": siblings(siblings_get(question)),
    }
