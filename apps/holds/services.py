"""Holds are placed and lifted. What a hold keeps is for its apps to know: the caller names it."""

from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Func, UUIDField, Value
from django.utils import timezone

from apps.accounts.models import User
from apps.holds.errors import AlreadyHeld, NotInForce
from apps.holds.models import HeldKind, LegalHold
from apps.holds.selectors import holds_in_force


def hold_place(
    *, kind: HeldKind, subject: UUID, also: Sequence[UUID] = (), reason: str, is_told: bool, placed_by: User
) -> LegalHold:
    """From now on nothing of it is erased, taken out or forgotten. Raises: AlreadyHeld."""
    try:
        with transaction.atomic():
            return LegalHold.objects.create(
                kind=kind,
                subject=subject,
                covers=[subject, *also],
                reason=reason,
                is_told=is_told,
                placed_by=placed_by,
            )
    except IntegrityError as exc:
        raise AlreadyHeld from exc


def hold_lift(hold: LegalHold, *, lifted_by: User) -> None:
    """What waited for it may go on. Raises: NotInForce."""
    in_force = LegalHold.objects.filter(pk=hold.pk, lifted_at=None)
    if not in_force.update(lifted_at=timezone.now(), lifted_by=lifted_by):
        raise NotInForce
    hold.refresh_from_db()


def holds_follow(visitor_public_id: UUID, user_public_id: UUID) -> None:
    """What is held of a visitor belongs to this account from now on, so that is held too."""
    followed = Func(F("covers"), Value(user_public_id, UUIDField()), function="array_append")
    holds_in_force([visitor_public_id]).exclude(covers__contains=[user_public_id]).update(covers=followed)
