"""Answers are added, and go with their person. None is ever changed."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.consents.models import Consent, How, Kind
from apps.consents.selectors import answers_of


def consent_answer(*, actor: Actor, kind: Kind, is_given: bool, how: How = How.PAGE) -> bool:
    """From now on this holds; False if it did before. Nobody who is unknown can answer.

    It waits for a version of a dataset that is being stored: such a one is looked through before or has it all.
    """
    if actor.user_id is None and actor.visitor_public_id is None:
        return False
    with transaction.atomic():
        before = _locked(answers_of(actor), kind)
        if is_given == (before is not None and before.is_given):
            return False
        Consent.objects.create(kind=kind, is_given=is_given, how=how, **_owner(actor))
    return True


def consents_withdraw(actor: Actor, how: How) -> None:
    for kind in Kind:
        consent_answer(actor=actor, kind=kind, is_given=False, how=how)


def consents_adopt(*, user: User, visitor_public_id: UUID) -> None:
    """A visitor's answers become those of the account that this person signed in to.

    Where both have answered and not the same, nothing is allowed until they answer again: each stood for texts about
    which the other one was not asked.
    """
    visitors = answers_of(Actor(visitor_public_id=visitor_public_id))
    with transaction.atomic():
        for kind in Kind:
            theirs, own = _locked(visitors, kind), _locked(answers_of(Actor(user_id=user.pk)), kind)
            visitors.filter(kind=kind).update(user=user, visitor=None)
            if theirs is not None and own is not None and theirs.is_given != own.is_given:
                Consent.objects.create(user=user, kind=kind, is_given=False, how=How.SIGN_IN)


def consents_erase(actor: Actor, held: Collection[UUID]) -> int:
    """All answers of this person; a hold on them keeps all else of theirs too, and is asked for before."""
    return answers_of(actor).delete()[0]


def _locked(answers: QuerySet[Consent], kind: Kind) -> Consent | None:
    """The newest, which nobody adds to at the same time."""
    return answers.filter(kind=kind).select_for_update(of=("self",)).first()


def _owner(actor: Actor) -> dict[str, object]:
    """Empty: nobody who is known."""
    if actor.user_id is not None:
        return {"user_id": actor.user_id}
    if actor.visitor_public_id is None:
        return {}
    visitor, _ = Visitor.objects.get_or_create(public_id=actor.visitor_public_id)
    return {"visitor": visitor}
