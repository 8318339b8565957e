"""What somebody may appeal against: what was done about their own texts and answers to them, and being banned."""

from django.db.models import Q, QuerySet

from apps.accounts.actors import Actor
from apps.moderation.choices import Action, Review
from apps.moderation.models import Ban, Incident
from apps.moderation.selectors import bans_in_force

SHOWN = 100


def decisions_of(actor: Actor) -> QuerySet[Incident]:
    """Incidents of this person that changed something for them; none for somebody unknown."""
    changed = Q(action__in=[Action.REDACT, Action.REFUSE]) | Q(review__in=[Review.REDACTED, Review.BLOCKED])
    return Incident.objects.filter(changed, _whose(actor))


def decisions_list(actor: Actor) -> list[Incident]:
    """The newest ones, each with its appeal."""
    return list(decisions_of(actor).select_related("appeal")[:SHOWN])


def bans_of(actor: Actor) -> QuerySet[Ban]:
    """Those that are in force on this person; none for somebody unknown."""
    return bans_in_force().filter(_whose(actor))


def bans_list(actor: Actor) -> list[Ban]:
    """With those that are over and that they appealed against: there the answer is read."""
    theirs = Ban.objects.filter(_whose(actor)).filter(Q(appeal__isnull=False) | Q(pk__in=bans_of(actor)))
    return list(theirs.select_related("appeal"))


def _whose(actor: Actor) -> Q:
    if actor.user_id is not None:
        return Q(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return Q(visitor_public_id=actor.visitor_public_id)
    return Q(pk__in=[])
