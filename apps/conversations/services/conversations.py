"""A conversation as a whole: rename, delete, and hand over to a person who signs in."""

import logging
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.accounts.ledger import generation_forgo
from apps.accounts.models import User
from apps.conversations.errors import ChatNotFound, TitleEmpty
from apps.conversations.models import UNFINISHED, Conversation, Generation
from apps.conversations.selectors.conversations import conversation_get, conversations_owned
from apps.conversations.selectors.held import kept_by
from apps.conversations.services.images import images_adopt, images_forget, images_shown_in
from apps.conversations.services.turns import require_may_chat
from apps.core.texts import clean_text
from apps.holds.selectors import not_held_require
from apps.workers import relay
from apps.workers.errors import WorkerDied

logger = logging.getLogger(__name__)

TITLE_MAX_CHARS = 200


def conversation_rename(*, actor: Actor, conversation_id: UUID, title: str) -> Conversation:
    """The caller has let the title pass the gate. A longer title is cut.

    Raises: SignInRequired, ChatNotFound, TitleEmpty, Held.
    """
    require_may_chat(actor)
    conversation = conversation_get(actor, conversation_id)
    not_held_require(kept_by(conversation))
    title = title_checked(title)
    Conversation.objects.filter(pk=conversation.pk).update(title=title)
    conversation.title = title
    return conversation


def title_checked(title: str) -> str:
    """As it is stored. Raises: TitleEmpty."""
    title = " ".join(clean_text(title).split())[:TITLE_MAX_CHARS].rstrip()
    if not title:
        raise TitleEmpty
    return title


def conversation_delete(*, actor: Actor, conversation_id: UUID) -> None:
    """Stop what is being written, if anything is, and delete everything. Call it from a sync context.

    Raises: ChatNotFound, Held.
    """
    if not conversation_remove(conversations_owned(actor).filter(public_id=conversation_id)):
        raise ChatNotFound


def conversation_remove(found: QuerySet[Conversation]) -> bool:
    """Delete this one, whosever it is, as `conversation_delete` does. False if it is gone. Raises: Held."""
    with transaction.atomic():
        # Locked, so that no turn begins and no worker is assigned between the look and the end of the rows.
        locked = found.select_related("user", "visitor").select_for_update(of=("self",))
        conversation = locked.first()
        if conversation is None:
            return False
        not_held_require(kept_by(conversation))
        unfinished = Generation.objects.select_for_update().filter(conversation=conversation, state__in=UNFINISHED)
        running = list(unfinished)
        for generation in running:
            if generation.worker_id is None:
                generation_forgo(generation.public_id)
        images = images_shown_in(conversation)
        conversation.delete()
        images_forget(images)
    # Afterwards, so that a reader that sees the end finds no row to write it to.
    for generation in running:
        if generation.worker_id is not None:
            async_to_sync(_cancel)(generation.worker_id, generation.public_id)
    return True


@transaction.atomic
def conversations_adopt(*, user: User, visitor_public_id: UUID) -> int:
    """Give a visitor's conversations to the account that this person signed in to; return how many."""
    images_adopt(user=user, visitor_public_id=visitor_public_id)
    return Conversation.objects.filter(visitor__public_id=visitor_public_id).update(user=user, visitor=None)


async def _cancel(worker_id: int, generation_id: UUID) -> None:
    try:
        await relay.cancel(await relay.target_get(worker_id), generation_id)
    except WorkerDied:
        # A worker that is gone generates nothing; one that is only cut off ends at its own token limit.
        logger.warning("could not cancel generation %s of a deleted conversation", generation_id)
