"""What is in force."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.actors import Actor
from apps.consents.models import Consent, Kind


def answers_of(actor: Actor) -> QuerySet[Consent]:
    """All that this person has answered, the newest first."""
    if actor.user_id is not None:
        return Consent.objects.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return Consent.objects.filter(visitor__public_id=actor.visitor_public_id)
    return Consent.objects.none()


def answers_now(actor: Actor) -> dict[Kind, Consent | None]:
    """The answer about each kind that is in force; None: there was none, which means no."""
    answers = answers_of(actor)
    return {kind: answers.filter(kind=kind).first() for kind in Kind}


def consents_in_force(kind: Kind) -> QuerySet[Consent]:
    """Of everybody who lets this kind be used now, the answer that says so."""
    same = Q(user=OuterRef("user")) | Q(visitor=OuterRef("visitor"))
    later = Consent.objects.filter(same, kind=kind, pk__gt=OuterRef("pk"))
    return Consent.objects.filter(~Exists(later), kind=kind, is_given=True)
