"""The life of a request to be erased: asked for, carried out piece by piece, looked at once more, forgotten.

asked -> erased -> done
  |  ^
  held     while a legal hold keeps the person or something of theirs; all else of them is erased meanwhile
"""

from datetime import timedelta
from time import monotonic
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import ExpressionWrapper, Q
from django.db.models.expressions import Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.accounts.erasure import account_close, account_erase
from apps.accounts.models import User
from apps.consents.models import How
from apps.consents.services import consents_withdraw
from apps.holds.selectors import held_ids, holds_in_force
from apps.privacy.erasers import ERASERS
from apps.privacy.errors import StaffNotErased
from apps.privacy.models import ErasureRequest, ErasureState
from apps.privacy.selectors import found_of, held_of, public_id_of

LEASE_S = 60
"""A job that has not renewed for so long is taken for dead. It renews after each handful of rows."""
SLICE_S = 30.0
"""Then another job gets its turn."""
HELD_AGAIN = timedelta(minutes=5)
"""A hold that was lifted is noticed after this time."""
LOOK_AGAIN = timedelta(hours=1)
"""Calls that ran when all was erased are settled, and tabs that were open know another visitor, long before."""


class _Lost(Exception):
    """Somebody else works on it, or the time is up."""


def erasure_ask(*, user: User | None, visitor_public_id: UUID | None, entered_by: User | None = None) -> ErasureRequest:
    """Close the account at once, and have everything of this person erased. Asked again, it is the same request.

    Raises: StaffNotErased.
    """
    if user is not None and user.is_staff:
        raise StaffNotErased
    same = Q(user_pk=user.pk) if user is not None else Q(visitor_public_id=visitor_public_id)
    if (before := ErasureRequest.objects.filter(same).first()) is not None:
        return _asked_again(before)
    if user is not None and ErasureRequest.objects.filter(visitor_public_id=visitor_public_id).exists():
        visitor_public_id = None  # what they asked for as a visitor goes on by itself
    request = ErasureRequest(
        user_pk=None if user is None else user.pk, visitor_public_id=visitor_public_id, entered_by=entered_by
    )
    for actor in _actors(request):
        for kind, n in found_of(actor).items():
            request.found[kind] = request.found.get(kind, 0) + n
    try:
        with transaction.atomic():
            request.save(force_insert=True)
            for actor in _actors(request):
                # Nothing of theirs is taken from now on, also while a hold keeps it here.
                consents_withdraw(actor, How.ERASURE)
            if user is not None:
                account_close(user)
    except IntegrityError:
        # Asked for twice at once.
        return ErasureRequest.objects.get(same)
    return request


def _asked_again(request: ErasureRequest) -> ErasureRequest:
    """A visitor may have gone on in the meantime, and agreed again."""
    with transaction.atomic():
        for actor in _actors(request):
            consents_withdraw(actor, How.ERASURE)
        ErasureRequest.objects.filter(pk=request.pk, state=ErasureState.ERASED).update(
            state=ErasureState.ASKED, due_at=Now()
        )
    request.refresh_from_db()
    return request


def erasures_wake() -> None:
    """A hold was lifted: what waits for one is to be tried now."""
    ErasureRequest.objects.filter(state=ErasureState.HELD).update(due_at=Now())


def erasure_advance(pk: int, *, slice_s: float = SLICE_S) -> None:
    """Take it as far as the time allows, if nobody else does."""
    runner = uuid4()
    request = _claim(pk, runner)
    if request is None:
        return
    ends_at = monotonic() + slice_s
    try:
        kept = [one for actor in _actors(request) for one in _kept(request, actor, ends_at)]
        _ends(request, kept)
    except _Lost:
        pass  # whoever is next begins with what is left
    finally:
        ErasureRequest.objects.filter(pk=pk, runner=runner).update(runner=None, lease_expires_at=None)


def _kept(request: ErasureRequest, actor: Actor, ends_at: float) -> list[UUID]:
    """Erase all of them that is not held, and return what is. Raises: _Lost."""
    held = held_ids()
    if public_id_of(actor) in held:
        return held_of(actor, held)
    try:
        for erase in ERASERS:
            while erase(actor, held):
                _renew(request, ends_at)
        if kept := held_of(actor, held):
            return kept
        with transaction.atomic():
            account_erase(actor)
    except IntegrityError:
        # The database refuses to delete what is held: since a moment ago, or something is wrong.
        if kept := held_of(actor, held_ids()):
            return kept
        raise
    return []


def _ends(request: ErasureRequest, kept: list[UUID]) -> None:
    mine = ErasureRequest.objects.filter(pk=request.pk, runner=request.runner)
    if kept:
        is_told = not holds_in_force(kept).filter(is_told=False).exists()
        mine.update(state=ErasureState.HELD, is_hold_told=is_told, due_at=_in(HELD_AGAIN))
    elif request.state == ErasureState.ERASED:
        mine.update(state=ErasureState.DONE, ended_at=Now(), user_pk=None, visitor_public_id=None)
    else:
        mine.update(state=ErasureState.ERASED, due_at=_in(LOOK_AGAIN))


def _actors(request: ErasureRequest) -> list[Actor]:
    actors = []
    if request.user_pk is not None:
        actors.append(Actor(user_id=request.user_pk))
    if request.visitor_public_id is not None:
        actors.append(Actor(visitor_public_id=request.visitor_public_id))
    return actors


def _claim(pk: int, runner: UUID) -> ErasureRequest | None:
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    due = ErasureRequest.objects.filter(free, pk=pk, due_at__lte=Now()).exclude(state=ErasureState.DONE)
    claimed = due.update(runner=runner, lease_expires_at=_in(timedelta(seconds=LEASE_S)))
    return ErasureRequest.objects.get(pk=pk) if claimed else None


def _renew(request: ErasureRequest, ends_at: float) -> None:
    mine = ErasureRequest.objects.filter(pk=request.pk, runner=request.runner)
    if monotonic() > ends_at or not mine.update(lease_expires_at=_in(timedelta(seconds=LEASE_S))):
        raise _Lost


def _in(time: timedelta) -> Combinable:
    """By the database's clock, because several machines work."""
    return ExpressionWrapper(Now() + time, output_field=DateTimeField())
