"""Keep somebody from taking part for a while, and let them again. What was decided, and by whom, stays written down."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from apps.accounts.models import User
from apps.moderation.errors import CannotBlock
from apps.moderation.models import Ban


def ban_create(
    *,
    by: User,
    reason: str,
    lasts: timedelta | None,
    user: User | None = None,
    visitor_public_id: UUID | None = None,
    network_digest: str = "",
) -> Ban:
    """Of an account, or of a visitor and maybe their network. `reason` is told to them; `lasts` None: for good.

    Raises: CannotBlock.
    """
    if user is not None:
        require_may_block(user, by)
    return Ban.objects.create(
        user=user,
        visitor_public_id=visitor_public_id,
        network_digest=network_digest,
        reason=reason,
        expires_at=None if lasts is None else timezone.now() + lasts,
        by=by,
        by_name=by.username,
    )


def ban_lift(ban: Ban, *, by: User) -> bool:
    """False if it was lifted before."""
    in_force = Ban.objects.filter(pk=ban.pk, lifted_at=None)
    return in_force.update(lifted_at=timezone.now(), lifted_by_name=by.username) == 1


def require_may_block(user: User, by: User) -> None:
    """Raises: CannotBlock."""
    if user.pk == by.pk:
        raise CannotBlock(reason="this is you")
    if user.is_staff and not by.is_superuser:
        raise CannotBlock(reason=f"{user} works in the admin; a superuser may")
