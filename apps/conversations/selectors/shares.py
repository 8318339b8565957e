"""Links to chats: one by its address, for anybody; a person's own, to look after."""

from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.conversations.errors import ShareNotFound
from apps.conversations.models import Share
from apps.conversations.selectors.conversations import conversations_owned
from apps.core.texts import clean_text

SHOWN_MAX = 200


def shares_valid() -> QuerySet[Share]:
    """Those whose address leads somewhere now: not one of somebody whose account is switched off."""
    lasting = Share.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)
    return lasting.exclude(conversation__user__is_active=False)


def share_get(token: str) -> Share:
    """By its address, for anybody. Raises: ShareNotFound, also when it was revoked or has expired."""
    share = shares_valid().filter(token=clean_text(token)).first()
    if share is None:
        raise ShareNotFound
    return share


def shares_list(actor: Actor, conversation_id: UUID | None = None) -> list[Share]:
    """This person's links that lead somewhere, of one chat or of all, the newest first."""
    own = shares_valid().filter(conversation__in=conversations_owned(actor))
    if conversation_id is not None:
        own = own.filter(conversation__public_id=conversation_id)
    return list(own.select_related("conversation").defer("messages").order_by("-pk")[:SHOWN_MAX])
