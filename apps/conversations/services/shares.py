"""Links to a chat as it is now, for everyone who has the address: made, and revoked."""

import secrets
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.conversations.errors import ChatNotFound, NothingToShare, TooManyShares
from apps.conversations.models import UNFINISHED, Conversation, Share
from apps.conversations.selectors.conversations import (
    conversation_get,
    conversations_owned,
    generation_of,
    path_list,
)
from apps.conversations.selectors.shares import shares_valid

SHARES_MAX = 100
TOKEN_BYTES = 24
"""Nobody guesses 192 bits."""


def share_create(*, actor: Actor, conversation_id: UUID, lasts: timedelta | None) -> Share:
    """Keep a copy of the path that is shown; later messages and the system prompt are not in it. None: for ever.

    Raises: ChatNotFound, NothingToShare, TooManyShares.
    """
    conversation = conversation_get(actor, conversation_id)
    with transaction.atomic():
        # Of two at once the second one waits here, so that the limit holds; a chat has one owner.
        Conversation.objects.select_for_update().get(pk=conversation.pk)
        own = shares_valid().filter(conversation__in=conversations_owned(actor))
        if own.count() >= SHARES_MAX:
            raise TooManyShares(limit=SHARES_MAX)
        messages = _snapshot(conversation)
        if not messages:
            raise NothingToShare
        return Share.objects.create(
            token=secrets.token_urlsafe(TOKEN_BYTES),
            conversation=conversation,
            title=conversation.title,
            messages=messages,
            expires_at=timezone.now() + lasts if lasts is not None else None,
        )


def share_revoke(*, actor: Actor, share_id: int) -> None:
    """From now on the address leads nowhere, and the copy is gone.

    Raises: ChatNotFound, also when it is somebody else's.
    """
    if not shares_revoke(Share.objects.filter(pk=share_id, conversation__in=conversations_owned(actor))):
        raise ChatNotFound


def shares_revoke(shares: QuerySet[Share]) -> int:
    """As an admin does it. Return how many led somewhere."""
    return shares.filter(revoked_at=None).update(revoked_at=timezone.now(), messages=[])


def _snapshot(conversation: Conversation) -> list[dict[str, str]]:
    return [
        {"role": message.role, "content": message.content, "author": message.author}
        for message in path_list(conversation)
        if message.content and ((generation := generation_of(message)) is None or generation.state not in UNFINISHED)
    ]
