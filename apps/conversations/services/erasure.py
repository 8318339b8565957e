"""Take all that somebody said out of the database, a bounded number of rows at a time. Again does no harm."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.conversations.models import Conversation, Preset
from apps.conversations.selectors.held import conversations_not_held
from apps.conversations.services.conversations import conversation_remove
from apps.holds.errors import Held

ERASED_AT_ONCE = 20
"""Conversations: each may have thousands of messages."""


def conversations_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Those of theirs that are not held, sides of battles too, with messages, answers, links and feedback.

    Answers that are being written are stopped at their workers. Call it from a sync context.
    """
    return conversations_remove(conversations_not_held(conversations_of(actor), held))


def conversations_remove(found: QuerySet[Conversation]) -> int:
    """Some of them; 0 when there are none."""
    pks = found.order_by("pk").values_list("pk", flat=True)[:ERASED_AT_ONCE]
    return sum(_is_removed(pk) for pk in pks)


def presets_erase(actor: Actor, held: Collection[UUID]) -> int:
    if actor.user_id is None:
        return 0  # they are kept with an account alone
    return Preset.objects.filter(user_id=actor.user_id).exclude(user__public_id__in=held).delete()[0]


def conversations_of(actor: Actor) -> QuerySet[Conversation]:
    """All of them, of whatever purpose."""
    if actor.user_id is not None:
        return Conversation.objects.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return Conversation.objects.filter(visitor__public_id=actor.visitor_public_id)
    return Conversation.objects.none()


def _is_removed(pk: int) -> bool:
    try:
        return conversation_remove(Conversation.objects.filter(pk=pk))
    except Held:
        return False  # since a moment ago
