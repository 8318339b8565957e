"""Versions are stored and deleted. A version is there with all its rows or not at all."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from apps.core.charts.drawing import draw
from apps.datasets.cards import card
from apps.datasets.charts import Figure, figures
from apps.datasets.errors import DerivationWrong, FolderWrong, NameWrong
from apps.datasets.folder import Folder
from apps.datasets.models import Dataset, DatasetVersion, Origin, SourceRecord
from apps.datasets.names import name_check, reference_read
from apps.datasets.row_lines import LinesKept, LineWrong
from apps.datasets.services.loading import rows_load, sources_load
from apps.datasets.services.locks import datasets_lock
from apps.datasets.services.takedowns import reasons_by_id
from apps.datasets.site.asked import is_of_site
from apps.datasets.site.standing import version_check_people
from apps.datasets.sources import Sources, Wanted, no_sources
from apps.holds.errors import Held
from apps.holds.selectors import held_ids

_SAME = ("hash", "recipe", "inputs", "licence")
"""Versions with the same of all these are the same."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is said of a version before its rows are there: see `DatasetVersion`."""

    dataset: str
    origin: Origin
    recipe: dict[str, Any]
    inputs: list[dict[str, Any]]
    code_version: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    licence: str = ""
    card: str = ""
    """Empty: it is written from the counts."""
    also: tuple[str, ...] = ()
    """Names of further datasets: what was taken down from them is left out too."""


@dataclass(frozen=True, slots=True)
class SetDraft:
    """`told` may have reports, and `sha256`, which the lines must have then. They are counted when they are stored."""

    lines: Iterable[bytes]
    told: dict[str, Any]


class _Same(Exception):
    """Nothing is new."""


def folder_store(
    dataset: str, folder: Folder, *, origin: Origin = Origin.CLEAN, sources: Sources = no_sources, licence: str = ""
) -> tuple[DatasetVersion, bool]:
    """What a recipe wrote, as the next version; False: the newest version is the same, and stays the newest.

    Raises: FolderWrong, NameWrong, FileUnreadable, ConsentGone.
    """
    report = folder.report
    draft = Draft(
        dataset,
        origin,
        report["recipe"],
        report["inputs"],
        report["code_sha256"],
        report["steps"],
        licence,
        folder.card,
        also=_exported_from(report),
    )
    sets = {
        name: SetDraft(folder.lines(name), {field: value for field, value in told.items() if field != "file"})
        for name, told in report["sets"].items()
    }
    known = {name: told.get("sha256") for name, told in report["sets"].items()}
    try:
        # Nothing is loaded only to find that it is there. A file that is not what its report says is refused below.
        newest = None if reasons_by_id([dataset, *draft.also]) else _same(draft, sets_hash(known))
        if newest and all(folder.hash_of(name) == known[name] for name in known):
            return newest, False
        return version_store(draft, sets, sources)
    except (LineWrong, OSError) as exc:
        raise FolderWrong(path=str(folder.path), reason=str(exc)) from exc


def _exported_from(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The dataset of which the folder is an export, if it says one."""
    try:
        return (reference_read(str(report["version"])).name,)
    except (KeyError, NameWrong):
        return ()


def version_store(
    draft: Draft, sets: Mapping[str, SetDraft], sources: Sources = no_sources
) -> tuple[DatasetVersion, bool]:
    """In one transaction: until its end nobody sees any of it. What was taken down is left out, and counted.

    Raises: LineWrong, NameWrong, ConsentGone.
    """
    name_check(draft.dataset)
    try:
        with transaction.atomic():
            return _stored(draft, sets, sources), True
    except _Same:
        newest = DatasetVersion.objects.filter(dataset__name=draft.dataset).first()
        assert newest is not None  # noqa: S101  # it is what the new one is the same as
        return newest, False


def _stored(draft: Draft, sets: Mapping[str, SetDraft], sources: Sources) -> DatasetVersion:
    dataset, _ = Dataset.objects.get_or_create(name=draft.dataset)
    # Locked until the end, so that numbers have no gaps and no two are one, and that what is taken down meanwhile is
    # taken down from this version too.
    datasets_lock([draft.dataset, *draft.also])
    dataset.refresh_from_db()
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=dataset.n_versions + 1,
        origin=draft.origin,
        recipe=draft.recipe,
        code_version=draft.code_version,
        inputs=draft.inputs,
        follows=list(draft.also),
        steps=draft.steps,
        licence=draft.licence,
        card=draft.card,
    )
    wanted = Wanted()
    reasons = reasons_by_id([draft.dataset, *draft.also])
    for name, one in sets.items():
        lines = LinesKept(one.lines, reasons)
        loaded = rows_load(version, name_check(name), lines, wanted)
        if one.told.get("sha256", lines.sha256) != lines.sha256:
            raise LineWrong(f"{name} is no longer what its report says: its SHA-256 is {lines.sha256}")
        counts = {"n_rows": loaded.written.n_conversations, "changed": loaded.changed, **loaded.written.as_dict()}
        version.sets[name] = one.told | counts | {"sha256": loaded.sha256}
        if lines.report.dropped:
            version.sets[name]["steps"] = [*one.told.get("steps", []), lines.report.as_dict()]
            version.card = ""  # its numbers are those of all rows
        version.n_rows += loaded.written.n_conversations
    version.hash = sets_hash({name: one["sha256"] for name, one in version.sets.items()})
    if _same(draft, version.hash, but=version.pk):
        raise _Same
    if not version.card:
        made = [f"- {one['file']}" for one in draft.inputs]
        version.card = card(draft.dataset, [f"{Origin(draft.origin).label}:", "", *made], version.sets)
    version.charts = {name: _charts(one, draft.steps + one.get("steps", [])) for name, one in version.sets.items()}
    sources_load(version, sources(wanted))
    if any(is_of_site(file) for file in wanted.files()):
        version_check_people(version)
    version.is_sealed = True
    version.save(update_fields=["sets", "n_rows", "hash", "card", "charts", "is_sealed"])
    Dataset.objects.filter(pk=dataset.pk).update(n_versions=F("n_versions") + 1)
    return version


def _charts(told: Mapping[str, Any], steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drawn once: no request draws one."""
    return list(map(drawn, figures(told, steps)))


def drawn(figure: Figure) -> dict[str, Any]:
    """As pages show it."""
    told = {"title": figure.title, "summary": figure.summary, "head": figure.head, "rows": figure.rows}
    return told | {"svg": draw(figure.spec)}


def sets_hash(hashes: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()


def _same(draft: Draft, hash_: str, *, but: int = 0) -> DatasetVersion | None:
    newest = DatasetVersion.objects.filter(dataset__name=draft.dataset).exclude(pk=but).first()
    made = {"hash": hash_, "recipe": draft.recipe, "inputs": draft.inputs, "licence": draft.licence}
    return newest if newest and all(getattr(newest, field) == made[field] for field in _SAME) else None


def version_delete(version: DatasetVersion) -> None:
    """With its rows, for good; its number is not given again. Raises: Held, DerivationWrong."""
    if version.releases.exists():
        raise DerivationWrong(reason=f"{version} was proposed to be released, and stays, so that it can be looked up")
    held = held_ids()
    of_held = Q(user__public_id__in=held) | Q(visitor_public_id__in=held) | Q(conversation__in=held)
    if held and SourceRecord.objects.filter(of_held, version=version).exists():
        raise Held
    version.delete()
