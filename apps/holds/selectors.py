"""What is held now. Holds are few, so that those who delete many rows ask for all ids at once."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from apps.holds.errors import Held
from apps.holds.models import LegalHold


def holds_in_force(ids: Iterable[UUID | None] | None = None) -> QuerySet[LegalHold]:
    """All of them, or those that keep one of these things."""
    in_force = LegalHold.objects.filter(lifted_at=None)
    return in_force if ids is None else in_force.filter(covers__overlap=[one for one in ids if one is not None])


def held_ids() -> set[UUID]:
    """Public ids of everything that is held."""
    return {one for covers in holds_in_force().values_list("covers", flat=True) for one in covers}


def not_held_require(ids: Iterable[UUID | None]) -> None:
    """Raises: Held, if one of them is."""
    if holds_in_force(ids).exists():
        raise Held
