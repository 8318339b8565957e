"""Put many messages into a conversation at once: a fork's or an import's. Nothing is generated here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.conversations.errors import TooManyChats
from apps.conversations.models import Conversation, Message, Role
from apps.conversations.selectors.conversations import conversations_owned
from apps.conversations.services.images import images_tie

BATCH = 500
CHATS_OF_OWNER_MAX = 10_000
"""Of one person. Who has as many can still begin one by hand, but no file and no fork adds any."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A message to be made. `parent` is the place of an earlier seed in the same list."""

    parent: int | None
    role: Role
    content: str
    model: LanguageModel | None
    written_by: str
    created_at: datetime
    is_imported: bool = False
    public_id: UUID = field(default_factory=uuid4)
    end: str = ""
    """How an answer broke off: an `End`, or empty."""


def require_room(actor: Actor, n_chats: int) -> None:
    """Raises: TooManyChats."""
    if conversations_owned(actor).count() + n_chats > CHATS_OF_OWNER_MAX:
        raise TooManyChats(limit=f"{CHATS_OF_OWNER_MAX:,}")


def messages_plant(conversation: Conversation, seeds: Sequence[Seed]) -> list[Message]:
    """The rows in the order of the seeds, in a few queries for each `BATCH`. Call it in a transaction."""
    made = [
        Message(
            public_id=seed.public_id,
            conversation=conversation,
            role=seed.role,
            content=seed.content,
            model=seed.model,
            written_by=seed.written_by,
            created_at=seed.created_at,
            is_imported=seed.is_imported,
            copied_end=seed.end,
        )
        for seed in seeds
    ]
    Message.objects.bulk_create(made, batch_size=BATCH)
    children = []
    for message, seed in zip(made, seeds, strict=True):
        if seed.parent is not None:
            message.parent = made[seed.parent]
            children.append(message)
    Message.objects.bulk_update(children, ["parent"], batch_size=BATCH)
    images_tie(conversation, made)
    return made
