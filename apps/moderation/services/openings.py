"""What staff opened of what somebody said in private: written down for good, and shown to whoever said it."""

from uuid import UUID

from apps.accounts.models import User
from apps.moderation.models import Opening


def opening_record(
    *, reader: User, owner_id: int | None, visitor_public_id: UUID | None, what: str, address: str, why: str
) -> None:
    """`what` in words without anybody's own, `address` where its owner finds it, `why` for the owner to read."""
    Opening.objects.create(
        reader=reader,
        reader_name=reader.username,
        owner_id=owner_id,
        visitor_public_id=visitor_public_id,
        what=what,
        address=address,
        why=why,
    )
