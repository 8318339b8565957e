"""What legal holds keep of chats: by itself, or with its owner."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.conversations.models import Conversation, Share


def kept_by(conversation: Conversation) -> list[UUID]:
    """Public ids a hold on which keeps it."""
    owners = (conversation.user, conversation.visitor)
    return [conversation.public_id, *(owner.public_id for owner in owners if owner is not None)]


def conversations_not_held(found: QuerySet[Conversation], held: Collection[UUID]) -> QuerySet[Conversation]:
    return found.exclude(_held(held, "")) if held else found


def shares_not_held(found: QuerySet[Share], held: Collection[UUID]) -> QuerySet[Share]:
    return found.exclude(_held(held, "conversation__")) if held else found


def _held(held: Collection[UUID], path: str) -> Q:
    """In words, because a comparison with no owner at all is neither true nor false in SQL."""
    by_itself = Q(**{f"{path}public_id__in": held})
    by_user = Q(**{f"{path}user__isnull": False, f"{path}user__public_id__in": held})
    by_visitor = Q(**{f"{path}visitor__isnull": False, f"{path}visitor__public_id__in": held})
    return by_itself | by_user | by_visitor
