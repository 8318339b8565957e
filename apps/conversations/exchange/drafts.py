"""A chat that was read from a file, before anything of it is stored. Pure.

Limits are checked while it is put together, so that a hostile file costs no more than its own size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from apps.conversations.chat_settings import SYSTEM_PROMPT_MAX_CHARS
from apps.conversations.errors import ImportRefused
from apps.core.texts import clean_text

CHATS_MAX = 2_000
MESSAGES_MAX = 50_000
"""In all chats of a file together."""
MESSAGES_OF_CHAT_MAX = 5_000
TEXT_MAX_CHARS = 500_000
CHAT_MAX_CHARS = 1_000_000
"""In all messages of a chat together: a page shows a whole path of them."""
TITLE_MAX_CHARS = 200
FOLDER_MAX_CHARS = 80
MODEL_MAX_CHARS = 100
ROLES = ("user", "assistant")
ENDS = ("stopped", "length", "failed")


@dataclass(slots=True)
class DraftMessage:
    """`parent` is the place of an earlier message in the same draft; `model` is a name as the file has it."""

    parent: int | None
    role: str
    content: str
    model: str = ""
    created_at: datetime | None = None
    public_id: UUID = field(default_factory=uuid4)
    """It will have it: what moderation finds in it leads there."""
    end: str = ""
    """How an answer broke off: one of `ENDS`, or empty."""


@dataclass(slots=True)
class Draft:
    """`active` is the place of the last message that is shown."""

    title: str
    messages: list[DraftMessage] = field(default_factory=list)
    active: int | None = None
    created_at: datetime | None = None
    system_prompt: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    is_pinned: bool = False
    is_archived: bool = False
    n_left_out: int = 0
    """Messages without text: images, calls of tools, and the like."""
    public_id: UUID = field(default_factory=uuid4)
    n_chars: int = 0
    """Of its messages, counted by `add`."""

    def add(self, message: DraftMessage) -> int:
        """Return its place. Raises: ImportRefused."""
        if len(self.messages) >= MESSAGES_OF_CHAT_MAX:
            raise ImportRefused(reason=f"a chat has more than {MESSAGES_OF_CHAT_MAX:,} messages")
        if message.role not in ROLES:
            raise ImportRefused(reason=f"a message is neither of a user nor of an assistant: {message.role[:40]!r}")
        if len(message.content) > TEXT_MAX_CHARS:
            raise ImportRefused(reason=f"a message has more than {TEXT_MAX_CHARS:,} characters")
        self.n_chars += len(message.content)
        if self.n_chars > CHAT_MAX_CHARS:
            raise ImportRefused(reason=f"a chat has more than {CHAT_MAX_CHARS:,} characters; split it")
        self.messages.append(message)
        return len(self.messages) - 1


def drafts_collect(drafts: Iterable[Draft]) -> list[Draft]:
    """Those with messages. Raises: ImportRefused: there are too many, or none."""
    kept: list[Draft] = []
    n_messages = 0
    for draft in drafts:
        n_messages += len(draft.messages)
        if len(kept) >= CHATS_MAX or n_messages > MESSAGES_MAX:
            raise ImportRefused(reason=f"it has more than {CHATS_MAX:,} chats or {MESSAGES_MAX:,} messages; split it")
        if draft.messages:
            kept.append(draft)
    if not kept:
        raise ImportRefused(reason="there are no chats in it")
    return kept


# --- Values of a file, which may be anything --------------------------------------------------------------------------


def text_of(value: object, what: str) -> str:
    """A text as it may be stored. Raises: ImportRefused."""
    if not isinstance(value, str):
        raise ImportRefused(reason=f"{what} is not a text")
    return clean_text(value)


def title_of(value: object) -> str:
    """One line; empty for anything else than a text."""
    return " ".join(clean_text(value).split())[:TITLE_MAX_CHARS] if isinstance(value, str) else ""


def name_of(value: object) -> str:
    """A model's name, cut; empty for anything else than a text."""
    return " ".join(clean_text(value).split())[:MODEL_MAX_CHARS] if isinstance(value, str) else ""


def prompt_of(value: object) -> str:
    """A system prompt. Raises: ImportRefused."""
    prompt = text_of(value or "", "a system prompt").strip()
    if len(prompt) > SYSTEM_PROMPT_MAX_CHARS:
        raise ImportRefused(reason=f"a system prompt has more than {SYSTEM_PROMPT_MAX_CHARS:,} characters")
    return prompt


def time_of(value: object) -> datetime | None:
    """Seconds since 1970, or a date as ISO 8601 spells it; None for anything else, and for other centuries."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            time = datetime.fromtimestamp(value, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return time if 1970 <= time.year <= 2100 else None


def object_of(value: object, what: str) -> dict[str, Any]:
    """Raises: ImportRefused."""
    if not isinstance(value, dict):
        raise ImportRefused(reason=f"{what} is not an object")
    return value


def list_of(value: object, what: str) -> list[Any]:
    """Raises: ImportRefused."""
    if not isinstance(value, list):
        raise ImportRefused(reason=f"{what} is not a list")
    return value
