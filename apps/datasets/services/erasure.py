"""Take what somebody said out of every version, a bounded number of rows at a time. Again does no harm.

What a visitor said goes over to the account that they sign in to, as their chats do.
"""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.datasets.models import DatasetRow, SourceRecord

ERASED_AT_ONCE = 200


def dataset_rows_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Rows that were made from their chats, and what these were, become empty; the versions keep their numbers."""
    found = sources_of_person(actor).exclude(user__isnull=False, user__public_id__in=held)
    found = found.exclude(visitor_public_id__isnull=False, visitor_public_id__in=held)
    found = found.exclude(conversation__isnull=False, conversation__in=held)
    sources = list(found.order_by("pk")[:ERASED_AT_ONCE])
    records: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for source in sources:
        records[source.version_id, source.file].append(source.record)
    with transaction.atomic():
        for (version, file), numbers in records.items():
            rows_empty(version, file, numbers)
        emptied = SourceRecord.objects.filter(pk__in=[source.pk for source in sources])
        emptied.update(value=None, user=None, visitor_public_id=None, conversation=None, messages=None)
    return len(sources)


def rows_empty(version_id: int, file: str, records: Collection[int]) -> None:
    """Those that were made of these records."""
    rows = DatasetRow.objects.filter(version=version_id, source_file=file, source_record__in=records)
    rows.update(line=None, record_id="")


def sources_of_person(actor: Actor) -> QuerySet[SourceRecord]:
    """What was made of their chats and battles, in all versions."""
    if actor.user_id is not None:
        return SourceRecord.objects.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return SourceRecord.objects.filter(visitor_public_id=actor.visitor_public_id)
    return SourceRecord.objects.none()


def sources_adopt(*, user: User, visitor_public_id: UUID) -> None:
    """Give what is known as a visitor's to the account that this person signed in to."""
    SourceRecord.objects.filter(visitor_public_id=visitor_public_id).update(user=user, visitor_public_id=None)
