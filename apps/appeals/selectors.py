"""What somebody may appeal against: their own texts, and answers to them, about which something was done."""

from django.db.models import Q, QuerySet

from apps.accounts.actors import Actor
from apps.moderation.choices import Action, Review
from apps.moderation.models import Incident

SHOWN = 100


def decisions_of(actor: Actor) -> QuerySet[Incident]:
    """Incidents of this person that changed something for them; none for somebody unknown."""
    changed = Q(action__in=[Action.REDACT, Action.REFUSE]) | Q(review__in=[Review.REDACTED, Review.BLOCKED])
    if actor.user_id is not None:
        return Incident.objects.filter(changed, user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return Incident.objects.filter(changed, visitor_public_id=actor.visitor_public_id)
    return Incident.objects.none()


def decisions_list(actor: Actor) -> list[Incident]:
    """The newest ones, each with its appeal."""
    return list(decisions_of(actor).select_related("appeal")[:SHOWN])
