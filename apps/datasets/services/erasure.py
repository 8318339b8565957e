"""Take what somebody said out of every version, a bounded number of rows at a time. Again does no harm."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from apps.accounts.actors import Actor
from apps.datasets.models import DatasetRow, SourceRecord

ERASED_AT_ONCE = 200


def dataset_rows_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Rows that were made from their chats, and what these were, become empty; the versions keep their numbers."""
    if actor.user_id is None:
        return 0  # only chats of members are ever taken
    found = SourceRecord.objects.filter(user_id=actor.user_id).exclude(user__public_id__in=held)
    sources = list(found.exclude(conversation__in=held).order_by("pk")[:ERASED_AT_ONCE])
    records: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for source in sources:
        records[source.version_id, source.file].append(source.record)
    with transaction.atomic():
        for (version, file), numbers in records.items():
            rows_empty(version, file, numbers)
        emptied = SourceRecord.objects.filter(pk__in=[source.pk for source in sources])
        emptied.update(value=None, user=None, conversation=None)
    return len(sources)


def rows_empty(version_id: int, file: str, records: Collection[int]) -> None:
    """Those that were made of these records."""
    rows = DatasetRow.objects.filter(version=version_id, source_file=file, source_record__in=records)
    rows.update(line=None, record_id="")
