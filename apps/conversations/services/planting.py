"""Put many messages into a conversation at once: a fork's or an import's. Nothing is generated here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Message, Role

BATCH = 500


@dataclass(frozen=True, slots=True)
class Seed:
    """A message to be made. `parent` is the place of an earlier seed in the same list."""

    parent: int | None
    role: Role
    content: str
    model: LanguageModel | None
    written_by: str
    created_at: datetime


def messages_plant(conversation: Conversation, seeds: Sequence[Seed]) -> list[Message]:
    """The rows in the order of the seeds, in a few queries for each `BATCH`. Call it in a transaction."""
    made = [
        Message(
            conversation=conversation,
            role=seed.role,
            content=seed.content,
            model=seed.model,
            written_by=seed.written_by,
            created_at=seed.created_at,
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
    return made
