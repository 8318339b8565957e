"""Answers are added, and go with their person. None is ever changed."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

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
        owner = _locked_owner(actor)
        before = _newest(actor, kind)
        if is_given == (before is not None and before.is_given):
            return False
        Consent.objects.create(kind=kind, is_given=is_given, how=how, **owner)
    return True


def consents_withdraw(actor: Actor, how: How) -> None:
    for kind in Kind:
        consent_answer(actor=actor, kind=kind, is_given=False, how=how)


def consents_adopt(*, user: User, visitor_public_id: UUID) -> None:
    """A visitor's answers become those of the account that this person signed in to.

    Where the two have not said the same, nothing is allowed until they answer again: each answer stood for texts about
    which the other one was not asked. An account that has not answered has not agreed, whoever came into it.
    """
    account, visitor = Actor(user_id=user.pk), Actor(visitor_public_id=visitor_public_id)
    with transaction.atomic():
        _locked_owner(account)
        Visitor.objects.select_for_update(no_key=True).filter(public_id=visitor_public_id).first()
        for kind in Kind:
            theirs, own = _newest(visitor, kind), _newest(account, kind)
            answers_of(visitor).filter(kind=kind).update(user=user, visitor=None)
            if theirs is not None and theirs.is_given != (own is not None and own.is_given):
                Consent.objects.create(user=user, kind=kind, is_given=False, how=How.SIGN_IN)


def consents_erase(actor: Actor, held: Collection[UUID]) -> int:
    """All answers of this person; a hold on them keeps all else of theirs too, and is asked for before."""
    return answers_of(actor).delete()[0]


def _newest(actor: Actor, kind: Kind) -> Consent | None:
    """Of a locked person. It waits for a version that is being stored, which locks what is in force."""
    return answers_of(actor).filter(kind=kind).select_for_update(of=("self",)).first()


def _locked_owner(actor: Actor) -> dict[str, object]:
    """Who is known. Until the transaction ends nobody else answers for them: the lock of an answer would not do,
    because whoever waited for it is given that one, and not a newer one.
    """
    if actor.user_id is not None:
        User.objects.select_for_update(no_key=True).filter(pk=actor.user_id).first()
        return {"user_id": actor.user_id}
    assert actor.visitor_public_id is not None  # noqa: S101  # whoever is unknown was sent away
    visitors = Visitor.objects.select_for_update(no_key=True)
    return {"visitor": visitors.get_or_create(public_id=actor.visitor_public_id)[0]}
