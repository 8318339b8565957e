"""Store chats that were read from a file: all of them, or none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.catalog.selectors import models_visible
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import ImportRefused, SignInRequired
from apps.conversations.exchange.drafts import Draft
from apps.conversations.models import Conversation, Role
from apps.conversations.services.planting import Seed, messages_plant, require_room
from apps.conversations.services.turns import conversation_create
from apps.conversations.texts import title_from

UNTITLED = "Imported chat"


@dataclass(frozen=True, slots=True)
class Imported:
    n_chats: int
    n_messages: int
    n_left_out: int


@contextmanager
def import_alone(actor: Actor) -> Iterator[None]:
    """Hold while a file is read, looked at and stored: of one person one at a time. Raises: ImportRefused."""
    name = [f"import of chats by {actor.user_id}"]
    with connection.cursor() as cursor:
        # Of the session, so that it goes with this process if that dies, and needs no transaction of a minute.
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name)
        if cursor.fetchone() != (True,):
            raise ImportRefused(reason="another file of yours is being imported; wait for it")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)


@transaction.atomic
def chats_import(*, actor: Actor, drafts: Sequence[Draft]) -> Imported:
    """The caller has let the texts pass the gate. Raises: SignInRequired: visitors import nothing; TooManyChats."""
    if actor.user_id is None:
        raise SignInRequired
    require_room(actor, len(drafts))
    models = {model.name: model for model in models_visible(actor)}
    # The first of a file was the newest one, and stays it.
    for draft in reversed(drafts):
        _chat_import(actor, draft, models)
    return Imported(
        n_chats=len(drafts),
        n_messages=sum(len(draft.messages) for draft in drafts),
        n_left_out=sum(draft.n_left_out for draft in drafts),
    )


def _chat_import(actor: Actor, draft: Draft, models: dict[str, LanguageModel]) -> None:
    title = draft.title or title_from(draft.messages[0].content) or UNTITLED
    chat = conversation_create(actor, title, ChatSettings(draft.system_prompt, draft.sampling), draft.public_id)
    made = messages_plant(chat, list(_seeds(draft, models)))
    chat.active_leaf = made[draft.active if draft.active is not None else -1]
    chat.folder, chat.is_pinned, chat.is_archived = draft.folder, draft.is_pinned, draft.is_archived
    chat.updated_at = max(message.created_at for message in made)
    chat.save(update_fields=["active_leaf", "folder", "is_pinned", "is_archived", "updated_at"])
    if draft.created_at is not None:
        Conversation.objects.filter(pk=chat.pk).update(created_at=min(draft.created_at, timezone.now()))


def _seeds(draft: Draft, models: dict[str, LanguageModel]) -> Iterator[Seed]:
    """With a time for every message: its own, or that of the one before. None is in the future: nothing that is said
    here later could come above such a chat."""
    now = timezone.now()
    time = min(draft.created_at or now, now)
    for message in draft.messages:
        time = min(message.created_at or time, now)
        model = models.get(message.model)
        yield Seed(
            parent=message.parent,
            role=Role(message.role),
            content=message.content,
            model=model,
            written_by="" if model is not None else message.model,
            created_at=time,
            is_imported=True,
            public_id=message.public_id,
            end=message.end,
        )
