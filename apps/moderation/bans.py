"""Whether somebody may take part at all: asked at every door, and again at every turn, because a page may be open for
days."""

from datetime import UTC

from django.db.models import F, Q

from apps.accounts.actors import Actor
from apps.core.networks import network_var
from apps.moderation import selectors
from apps.moderation.errors import Banned
from apps.moderation.models import Ban


def ban_check(actor: Actor) -> None:
    """Raises: Banned, with the reason and until when."""
    if (ban := ban_find(actor)) is not None:
        raise Banned(until=_until(ban), reason=ban.reason)


def ban_find(actor: Actor) -> Ban | None:
    """The one that lasts longest. Nobody is asked for as long as nobody is banned at all.

    A network's is for visitors: whoever has an account there is known by that.
    """
    if not selectors.decided().has_bans:
        return None
    if actor.user_id is not None:
        theirs = Q(user_id=actor.user_id)
    elif actor.visitor_public_id is not None:
        theirs = Q(visitor_public_id=actor.visitor_public_id)
        if network := network_var.get():
            theirs |= Q(network_digest=network)
    else:
        return None
    return selectors.bans_in_force().filter(theirs).order_by(F("expires_at").desc(nulls_first=True)).first()


def _until(ban: Ban) -> str:
    if ban.expires_at is None:
        return "any more"
    return f"until {ban.expires_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
