"""Whose the records were from which rows were made, so that an erasure finds them. Rows themselves do not say it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import orjson

from apps.conversations.models import Conversation
from apps.datasets.errors import ConsentGone
from apps.datasets.formats.files import Raw, raw_records
from apps.datasets.site.asked import Origin
from apps.datasets.site.snapshot import AT_ONCE, Taken, origins_read, refused
from apps.datasets.site.standing import refusals
from apps.datasets.sources import Source, Sources, Wanted


@dataclass(frozen=True, slots=True)
class _Owner:
    user_id: int | None
    visitor_public_id: UUID | None


def site_sources(taken: list[Taken], *, is_value_kept: bool) -> Sources:
    """Each with its person of now. Raises, when they are read: ConsentGone."""

    def sources(wanted: Wanted) -> Iterator[Source]:
        for one in taken:
            yield from _sources(one, wanted, is_value_kept=is_value_kept)

    return sources


def _sources(taken: Taken, wanted: Wanted, *, is_value_kept: bool) -> Iterator[Source]:
    name = str(taken.asked.what)
    pairs = zip(raw_records(taken.path), origins_read(taken.origins), strict=True)
    used = ((raw, origin) for raw, origin in pairs if wanted.has(name, raw.number))
    while some := list(islice(used, AT_ONCE)):
        origins = [origin for _, origin in some]
        usable_require(origins)
        owners = _owners(origins)
        for raw, origin in some:
            first = origin.conversations[0]
            if (owner := owners.get(first)) is None:
                raise ConsentGone(reasons="1 deleted")  # a moment ago
            yield Source(
                name,
                raw.number,
                str(taken.asked.shape),
                _value(raw) if is_value_kept else None,
                owner.user_id,
                UUID(first),
                owner.visitor_public_id,
                list(origin.messages),
            )


def taken_require(taken: list[Taken]) -> None:
    """Raises: ConsentGone."""
    for one in taken:
        if whys := refused(one):
            raise ConsentGone(reasons=", ".join(f"{n} {why}" for why, n in whys.items()))


def usable_require(origins: list[Origin]) -> None:
    """Raises: ConsentGone."""
    if whys := [why for why in refusals(origins) if why is not None]:
        raise ConsentGone(reasons=f"{len(whys)} {whys[0]}")


def _owners(origins: list[Origin]) -> dict[str, _Owner]:
    rows = Conversation.objects.filter(public_id__in=[origin.conversations[0] for origin in origins])
    named = rows.values_list("public_id", "user_id", "visitor__public_id").order_by()
    return {str(public_id): _Owner(user_id, visitor) for public_id, user_id, visitor in named}


def _value(raw: Raw) -> str:
    return orjson.dumps(raw.value).decode()
