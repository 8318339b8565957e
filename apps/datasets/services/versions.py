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
from apps.datasets.errors import FolderWrong
from apps.datasets.folder import Folder
from apps.datasets.models import Dataset, DatasetVersion, Origin, SourceRecord
from apps.datasets.names import name_check
from apps.datasets.row_lines import LineWrong
from apps.datasets.services.loading import rows_load, sources_load
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
    )
    sets = {
        name: SetDraft(folder.lines(name), {field: value for field, value in told.items() if field != "file"})
        for name, told in report["sets"].items()
    }
    known = {name: told.get("sha256") for name, told in report["sets"].items()}
    try:
        # Nothing is loaded only to find that it is there. A file that is not what its report says is refused below.
        if (newest := _same(draft, sets_hash(known))) and all(folder.hash_of(name) == known[name] for name in known):
            return newest, False
        return version_store(draft, sets, sources)
    except (LineWrong, OSError) as exc:
        raise FolderWrong(path=str(folder.path), reason=str(exc)) from exc


def version_store(
    draft: Draft, sets: Mapping[str, SetDraft], sources: Sources = no_sources
) -> tuple[DatasetVersion, bool]:
    """In one transaction: until its end nobody sees any of it. Raises: LineWrong, NameWrong, ConsentGone."""
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
    # Locked until the end, so that numbers have no gaps and no two are one.
    dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=dataset.n_versions + 1,
        origin=draft.origin,
        recipe=draft.recipe,
        code_version=draft.code_version,
        inputs=draft.inputs,
        steps=draft.steps,
        licence=draft.licence,
        card=draft.card,
    )
    wanted = Wanted()
    for name, one in sets.items():
        loaded = rows_load(version, name_check(name), one.lines, wanted)
        if one.told.get("sha256", loaded.sha256) != loaded.sha256:
            raise LineWrong(f"{name} is no longer what its report says: its SHA-256 is {loaded.sha256}")
        counts = {"n_rows": loaded.written.n_conversations, "changed": loaded.changed, **loaded.written.as_dict()}
        version.sets[name] = one.told | counts | {"sha256": loaded.sha256}
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
    """With its rows, for good; its number is not given again. Raises: Held."""
    held = held_ids()
    of_held = Q(user__public_id__in=held) | Q(visitor_public_id__in=held) | Q(conversation__in=held)
    if held and SourceRecord.objects.filter(of_held, version=version).exists():
        raise Held
    version.delete()
