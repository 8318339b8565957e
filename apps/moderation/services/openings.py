"""What staff opened of what somebody said in private: written down for good, and shown to whoever said it."""

from uuid import UUID

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.moderation.models import Ban, Incident, Opening


def opening_record(*, reader: User, owner: Actor, what: str, address: str, why: str) -> None:
    """`what` in words without anybody's own, `address` where its owner finds it, `why` for the owner to read."""
    Opening.objects.create(
        reader=reader,
        reader_name=reader.username,
        owner_id=owner.user_id,
        visitor_public_id=owner.visitor_public_id,
        whose=_whose(owner),
        what=what,
        address=address,
        why=why,
    )


def visitor_adopt(*, user: User, visitor_public_id: UUID) -> None:
    """Their chats have gone to the account that this person signed in to: so does what was opened and found of them,
    and a ban."""
    Opening.objects.filter(visitor_public_id=visitor_public_id).update(owner=user, visitor_public_id=None)
    Incident.objects.filter(visitor_public_id=visitor_public_id).update(user=user, visitor_public_id=None)
    if not user.is_staff:
        Ban.objects.filter(visitor_public_id=visitor_public_id, user=None).update(user=user)


def _whose(owner: Actor) -> str:
    if owner.user_id is not None:
        return f"account {owner.user_id}"
    if owner.visitor_public_id is not None:
        return f"visitor {owner.visitor_public_id}"
    return f"key {owner.api_key_id}"
