"""Rows are taken down by id: no later version and no release has them. The versions that have them stay as they are,
and it is written down which rows of theirs it is."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.core.texts import clean_text
from apps.datasets.errors import TakedownRefused
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion
from apps.datasets.release_models import Takedown, TakedownReason, TakenRow
from apps.datasets.selectors import rows_beginning
from apps.datasets.services.locks import datasets_lock
from apps.datasets.site.paths import record_id
from apps.datasets.takedown_ids import ids_of

MAY_TAKE_DOWN = "datasets.add_takedown"

_AT_ONCE = 500


def takedown_make(dataset: Dataset, id: str, *, reason: TakedownReason, why: str, by: User | None = None) -> Takedown:
    """Of a row, or of a conversation or a battle with all that was made of it; also in the datasets that were merged or
    split from this one.

    `by` None: whoever runs commands here.
    Raises: TakedownRefused: somebody may not, no version has it, it was taken down before, or nothing says why.
    """
    if by is not None and not (by.is_active and by.is_staff and by.has_perm(MAY_TAKE_DOWN)):
        raise TakedownRefused(what=repr(id[:60]), reason=f"{by} may not take down rows; an administrator can allow it")
    id_, why = clean_text(id).strip(), clean_text(why).strip()
    if not id_:
        raise TakedownRefused(what="''", reason="that is no id, and rows without one cannot be told apart")
    if not why:
        raise TakedownRefused(what=repr(id_[:60]), reason="say why, for whoever asks later")
    with transaction.atomic():
        # Versions are stored and made of others under the same locks: none is missed that is stored at this moment.
        datasets_lock(one.name for one in _all_made_of(dataset))
        whole = _whole_id(dataset, id_)
        if whole is None:
            raise TakedownRefused(what=repr(id_[:60]), reason=f"no version of {dataset} has a row with that id")
        if Takedown.objects.filter(dataset=dataset, record_id=whole).exists():
            raise TakedownRefused(what=repr(id_[:60]), reason=f"it was taken down from {dataset} before")
        takedown, rows = _taken(dataset, whole, reason, why, by)
        _follow(dataset, rows, takedown)
    return takedown


def reasons_by_id(names: Iterable[str]) -> dict[str, str]:
    """What is taken down from the datasets of these names, and why, in the words of reports."""
    found = Takedown.objects.filter(dataset__name__in=list(names)).values_list("record_id", "reason")
    return {id_: reason_words(TakedownReason(reason)) for id_, reason in found}


def reason_words(reason: TakedownReason) -> str:
    return f"taken down: {reason.label.lower()}"


def _whole_id(dataset: Dataset, id_: str) -> str | None:
    """Of the conversation or the battle: a part of one is not taken down without the others."""
    for named in (id_, *_of_site(id_)):
        row = _rows_named(dataset, named).first()
        if row is not None:
            return ids_of(orjson.loads(row.line or "{}"))[-1]
        if any(True for _ in _rows_of(dataset, named)):
            return named
    return None


def _of_site(id_: str) -> list[str]:
    """The id that a chat or a battle of this site has in rows, if this is the one that it has here."""
    try:
        return [record_id(UUID(id_))]
    except ValueError:
        return []


def _rows_named(dataset: Dataset, id_: str) -> Any:
    rows = DatasetRow.objects.filter(version__dataset=dataset, line__isnull=False, record_id=id_)
    return rows.order_by("version", "set_name", "position")


def _rows_of(dataset: Dataset, id_: str) -> Iterator[tuple[DatasetRow, dict[str, Any]]]:
    """All that was made of it, in all versions."""
    for row in (
        rows_beginning(dataset, id_, "_").order_by("version", "set_name", "position").iterator(chunk_size=_AT_ONCE)
    ):
        value = orjson.loads(row.line or "{}")
        if id_ in ids_of(value):
            yield row, value


def _taken(
    dataset: Dataset, id_: str, reason: TakedownReason, why: str, by: User | None
) -> tuple[Takedown, list[dict[str, Any]]]:
    takedown = Takedown.objects.create(dataset=dataset, record_id=id_, reason=reason, why=why, taken_by=by)
    values: dict[str, dict[str, Any]] = {}
    for row, value in _rows_of(dataset, id_):
        # A row that was taken down alone before, as one of two with one id, stays with that takedown.
        TakenRow.objects.get_or_create(
            version_id=row.version_id,
            set_name=row.set_name,
            position=row.position,
            defaults={"takedown": takedown},
        )
        values[orjson.dumps(_said(value), option=orjson.OPT_SORT_KEYS).decode()] = value
    return takedown, list(values.values())


# --- What was made of versions ----------------------------------------------------------------------------------------


def _follow(dataset: Dataset, rows: list[dict[str, Any]], first: Takedown) -> None:
    """Into the datasets that were made of versions of this one, and on from there."""
    for other in _made_of(dataset):
        datasets_lock([other.name])  # it may have been made while the others were waited for
        found = {id_ for row in rows for id_ in _ids_there(other, dataset.name, row)}
        known = set(Takedown.objects.filter(dataset=other, record_id__in=found).values_list("record_id", flat=True))
        for id_ in sorted(found - known):
            why = f"{first.record_id} was taken down from {first.dataset.name}: {first.why}"
            _, there = _taken(other, id_, TakedownReason(first.reason), why, first.taken_by)
            _follow(other, there, first)


def _all_made_of(dataset: Dataset) -> Collection[Dataset]:
    """It, those that were made of its versions, and on from there."""
    found: dict[int, Dataset] = {dataset.pk: dataset}
    waiting = [dataset]
    while waiting:
        new = {other.pk: other for other in _made_of(waiting.pop()) if other.pk not in found}
        waiting += new.values()
        found |= new
    return found.values()


def _made_of(dataset: Dataset) -> list[Dataset]:
    """Others, of which a version was merged or split from one of this dataset, or is an export of one."""
    n_versions = Dataset.objects.values_list("n_versions", flat=True).get(pk=dataset.pk)  # of now
    names = [{"file": f"{dataset.name}@{number}", "format": "dataset"} for number in range(1, n_versions + 1)]
    of_it = Q(follows__contains=[dataset.name])
    for name in names:
        of_it |= Q(inputs__contains=[name])
    found = DatasetVersion.objects.filter(of_it).exclude(dataset=dataset).values("dataset")
    return list(Dataset.objects.filter(pk__in=found).order_by("pk"))


def _ids_there(other: Dataset, name: str, row: dict[str, Any]) -> set[str]:
    """Under which ids a dataset has a row of the one named `name`. A merge gives another where one is taken."""
    id_ = ids_of(row)[0]
    found = set()
    for there in rows_beginning(other, id_, "~"):
        value = orjson.loads(there.line or "{}")
        came_from = str((value.get("source") or {}).get("row") or "")
        if came_from.startswith(f"{name}@") or _said(value) == _said(row):
            found.add(there.record_id)
    return found


def _said(value: dict[str, Any]) -> dict[str, Any]:
    """All but what a merge changes."""
    return {field: one for field, one in value.items() if field not in ("id", "source")}
