"""Reads of datasets, versions and their rows."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import orjson
from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from apps.core.texts import clean_text
from apps.datasets.differences import Compared, conversations_compared
from apps.datasets.errors import RowUnknown, VersionUnknown
from apps.datasets.formats.shapes import RecordWrong, Shape, records_read
from apps.datasets.models import ID_HEAD, ID_HEAD_CHARS, Dataset, DatasetRow, DatasetVersion, SourceRecord
from apps.datasets.names import Reference
from apps.datasets.records import Message, Record
from apps.datasets.row_lines import record_of
from apps.datasets.site.standing import sources_unusable


@dataclass(frozen=True, slots=True)
class Inspected:
    """A row beside its source. `record` None: it was erased. `source` None: none is kept. `before` None: and none that
    can be read."""

    row: DatasetRow
    record: Record | None
    source: SourceRecord | None
    before: Record | None

    @property
    def n_chars(self) -> int:
        """Of both as they are stored."""
        return len(self.row.line or "") + len(self.source.value or "" if self.source else "")

    def messages(self) -> list[Compared]:
        """Empty where there is nothing to compare."""
        return conversations_compared(_said(self.before), _said(self.record)) if self.before and self.record else []


def datasets_list() -> QuerySet[Dataset]:
    """With their versions, but without what is long of these."""
    versions = DatasetVersion.objects.defer("recipe", "inputs", "steps", "card", "charts")
    return Dataset.objects.filter(n_versions__gt=0).prefetch_related(Prefetch("versions", versions))


def version_get(reference: Reference) -> DatasetVersion:
    """Its charts are read when they are asked for. Raises: VersionUnknown."""
    found = DatasetVersion.objects.filter(dataset__name=reference.name).select_related("dataset").defer("charts")
    if reference.number is not None:
        found = found.filter(number=reference.number)
    version = found.first()
    if version is None:
        number = "" if reference.number is None else f"@{reference.number}"
        raise VersionUnknown(what=f"dataset {reference.name}{number}")
    return version


def sets_of(version: DatasetVersion, set_name: str | None) -> list[str]:
    """That one, or all, in the order in which they came out. Raises: VersionUnknown."""
    if set_name is not None and set_name not in version.sets:
        raise VersionUnknown(what=f"set {set_name} in {version}; it has {', '.join(version.sets)}")
    return list(version.sets) if set_name is None else [set_name]


def lines_of(version: DatasetVersion, set_name: str, *, without: Collection[int] = ()) -> Iterator[tuple[int, bytes]]:
    """Position and line of each row that was not erased, but for those at some positions. Streamed."""
    rows = DatasetRow.objects.filter(version=version, set_name=set_name, line__isnull=False).order_by("position")
    for position, line in rows.values_list("position", "line").iterator(chunk_size=500):
        if position not in without:
            yield position, (line or "").encode()


def positions_unusable(version: DatasetVersion, set_name: str) -> frozenset[int]:
    """See `rows_unusable`."""
    return frozenset(rows_unusable(version, [set_name]).values_list("position", flat=True))


def rows_unusable(version: DatasetVersion, set_names: Collection[str]) -> QuerySet[DatasetRow]:
    """Rows that this version keeps and no later one may have. All of its sources are looked at, once for all sets."""
    gone = sources_unusable(version)
    if not gone.exists():
        return DatasetRow.objects.none()
    its_source = gone.filter(file=OuterRef("source_file"), record=OuterRef("source_record"))
    return DatasetRow.objects.filter(Exists(its_source), version=version, set_name__in=set_names, line__isnull=False)


def rows_beginning(dataset: Dataset, id: str, mark: str) -> QuerySet[DatasetRow]:
    """Of all versions those with this id, or with one that is it and `mark` and more; by an index."""
    start = id + mark
    begins = Q(head__startswith=start[:ID_HEAD_CHARS], record_id__startswith=start)
    rows = DatasetRow.objects.alias(head=ID_HEAD).filter(Q(record_id=id) | begins)
    return rows.filter(version__dataset=dataset, line__isnull=False)


def n_erased(version: DatasetVersion) -> int:
    return DatasetRow.objects.filter(version=version, line=None).count()


def row_get(version: DatasetVersion, set_name: str, *, position: int | None = None, id: str = "") -> DatasetRow:
    """By its place, or the first with an id. Raises: RowUnknown, VersionUnknown."""
    sets_of(version, set_name)
    which = Q(record_id=clean_text(id)) if position is None else Q(position=position)
    row = DatasetRow.objects.filter(which, version=version, set_name=set_name).order_by("position").first()
    if row is None:
        raise RowUnknown(what=repr(id[:60]) if position is None else position, version=f"{version}/{set_name}")
    return row


def row_inspect(row: DatasetRow) -> Inspected:
    source = SourceRecord.objects.filter(
        version_id=row.version_id, file=row.source_file, record=row.source_record
    ).first()  # type: ignore[misc]  # none has no number, and is not found
    record = None if row.line is None else record_of(orjson.loads(row.line))
    before = _before(source, record) if source is not None and record is not None else None
    return Inspected(row, record, source, before)


def _said(record: Record) -> list[Message]:
    return list(record.all_messages())


def _before(source: SourceRecord, record: Record) -> Record | None:
    """Of the conversations of a record, as a battle has two, that of the row."""
    if source.value is None:
        return None
    # One without an id of its own was named by the number of its file, which nothing else tells.
    file, _, _ = record.id.partition("-")
    place = int(file) if file.isdecimal() and len(file) < 10 else 0, source.record
    try:
        found = records_read(Shape(source.format), orjson.loads(source.value), place)
    except (RecordWrong, ValueError):
        return None
    return next((one for one in found if record.id.startswith(one.id)), found[0])


# --- What has changed between two versions ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetDiff:
    """Numbers of ids, with some of them as examples."""

    set_name: str
    n_same: int
    n_changed: int
    n_added: int
    n_removed: int
    examples: dict[str, list[str]]


_DIFF = """
WITH old AS ({rows}), new AS ({rows}), both_of_them AS (
    SELECT record_id, CASE
        WHEN new.digests IS NULL THEN 'removed' WHEN old.digests IS NULL THEN 'added'
        WHEN old.digests = new.digests THEN 'same' ELSE 'changed' END AS what
    FROM old FULL JOIN new USING (record_id)
)
SELECT what, count(*), (array_agg(record_id ORDER BY record_id))[1:%s] FROM both_of_them GROUP BY what
""".format(  # noqa: S608  # no text from outside
    rows="SELECT record_id, array_agg(md5(line) ORDER BY md5(line)) AS digests FROM datasets_datasetrow"
    " WHERE version_id = %s AND set_name = %s AND line IS NOT NULL GROUP BY record_id"
)


def versions_diff(old: DatasetVersion, new: DatasetVersion, *, n_examples: int) -> list[SetDiff]:
    """For each set of either; rows are known again by their ids."""
    found = []
    for name in dict.fromkeys([*old.sets, *new.sets]):
        with connection.cursor() as cursor:
            cursor.execute(_DIFF, [old.pk, name, new.pk, name, n_examples])
            rows = {what: (n, ids) for what, n, ids in cursor.fetchall()}
        same, changed, added, removed = (rows.get(w, (0, []))[0] for w in ("same", "changed", "added", "removed"))
        examples = {what: ids for what, (_, ids) in rows.items() if what != "same"}
        found.append(SetDiff(name, same, changed, added, removed, examples))
    return found


def steps_counted(version: DatasetVersion, set_name: str) -> list[tuple[str, int]]:
    """How many rows of a set each step has changed."""
    return sorted(version.sets[set_name]["changed"].items())
