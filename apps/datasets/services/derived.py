"""Versions made of versions: merged with their provenance, and split by families of conversations."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import orjson
from django.db import transaction

from apps.datasets.cleaning import code_hash
from apps.datasets.errors import DerivationWrong
from apps.datasets.families import Families
from apps.datasets.models import DatasetVersion, Origin, SourceRecord
from apps.datasets.names import LICENCE_MAX_CHARS
from apps.datasets.records import Role
from apps.datasets.report import StepReport
from apps.datasets.row_lines import FILE_MAX_CHARS, record_of
from apps.datasets.selectors import lines_of, positions_unusable, rows_unusable
from apps.datasets.services.erasure import rows_empty
from apps.datasets.services.locks import datasets_lock
from apps.datasets.services.takedowns import reasons_by_id
from apps.datasets.services.versions import Draft, SetDraft, version_store
from apps.datasets.site.asked import UNUSABLE
from apps.datasets.sources import Source, Wanted
from apps.datasets.steps.duplicates import digest_of
from apps.datasets.steps.sampling import chance
from apps.datasets.takedown_ids import ids_of

Part = tuple[DatasetVersion, str]
"""A set of a version."""
_Named = Callable[[DatasetVersion, str], str]
"""What a file of a version is called in the one that is made of it."""


@dataclass(slots=True)
class _Set:
    """A set on its way to a version: its lines wait in a file, because several are written at a time."""

    path: Path
    file: BinaryIO
    report: StepReport
    before: list[dict[str, Any]] = field(default_factory=list)
    """Reports of the steps that its rows went through before."""

    def add(self, value: dict[str, Any]) -> None:
        self.file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))

    def draft(self) -> SetDraft:
        self.file.flush()
        return SetDraft(self._lines(), {"steps": [*self.before, self.report.as_dict()]})

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")


def versions_merge(dataset: str, parts: list[Part], *, licence: str) -> tuple[DatasetVersion, bool]:
    """Sets of one name become one. Of rows that say the same under one id the first stays; where two say different
    things under one id, the later one gets another id.

    Each row says besides in `source` from which version it comes. Raises: DerivationWrong, NameWrong.
    """
    if len(parts) < 2 or len(set(parts)) < len(parts):
        raise DerivationWrong(reason="give at least two sets, and each once")
    versions = [version for version, _ in parts]
    with _sets("merge", dict.fromkeys(name for _, name in parts), dataset, versions) as sets:
        for name, one in sets.items():
            _merge(dataset, [version for version, set_name in parts if set_name == name], name, one)
        recipe = {"name": "merge", "of": [f"{version}/{name}" for version, name in parts]}
        draft = _draft(dataset, Origin.MERGE, recipe, versions, licence)
        return _stored(draft, sets, versions, _file_of)


def _merge(dataset: str, versions: list[DatasetVersion], name: str, made: _Set) -> None:
    # An id that was taken down from what comes out is not given to another row.
    ids = {digest_of(id_) for id_ in reasons_by_id([dataset])}
    contents: set[int] = set()
    for version in versions:
        reasons = reasons_by_id([version.dataset.name])
        for position, line in lines_of(version, name, without=_left_out(version, name, [made.report])):
            value = orjson.loads(line)
            made.report.n_in += 1
            if reason := next((reasons[id_] for id_ in ids_of(value) if id_ in reasons), None):
                made.report.dropped[reason] += 1
                continue
            source = value.pop("source")
            content = digest_of(orjson.dumps(value).decode())
            if content in contents:
                made.report.drop("the same row was there before", str(value.get("id", "")))
                continue
            contents.add(content)
            id_ = ids_of(value)[0]
            if digest_of(id_) in ids:
                made.report.notes["got another id"] += 1
            while digest_of(id_) in ids:  # of a merge of merges the new one may be taken too
                value["id"] = id_ = f"{id_}~{version}"
            ids.add(digest_of(id_))
            if source.get("file"):
                source["file"] = _file_of(version, source["file"])
            made.report.n_out += 1
            made.add({**value, "source": {**source, "row": f"{version}/{name}:{position}"}})


def _left_out(version: DatasetVersion, name: str, reports: list[StepReport]) -> Collection[int]:
    """Rows of people who let them be used no more or deleted what they were made of, and such of which moderators took
    something out: no later version has them."""
    left_out = positions_unusable(version, name)
    _count_out(left_out, reports)
    return left_out


def _count_out(left_out: Collection[int], reports: list[StepReport]) -> None:
    for report in reports:
        report.n_in += len(left_out)
        report.dropped.update({UNUSABLE: len(left_out)} if left_out else {})


def _file_of(version: DatasetVersion, file: str) -> str:
    """Files of different versions may have one name, and need not be the same."""
    return f"{version}:{file}"[:FILE_MAX_CHARS]


@dataclass(frozen=True, slots=True)
class Split:
    """`begin`, `end`: of the rows that are split, counted from 0 (None: to the last)."""

    test_share: float
    seed: int = 0
    begin: int = 0
    end: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise DerivationWrong(reason="the test's share is between 0 and 1")
        if self.begin < 0 or (self.end is not None and self.end <= self.begin):
            raise DerivationWrong(reason="begin is not negative, and end after it")


def version_split(dataset: str, part: Part, split: Split, *, licence: str) -> tuple[DatasetVersion, bool]:
    """Into `train` and `test`. A family stays together: what was made of one record, and what begins with the same
    question. Raises: DerivationWrong, NameWrong.
    """
    version, name = part
    families = Families()
    left_out = positions_unusable(version, name)
    for position, line in _between(part, split, left_out):
        families.add(position, _ties(orjson.loads(line)))
    with _sets("split", ("train", "test"), dataset, [version]) as sets:
        _count_out(left_out, [one.report for one in sets.values()])
        for position, line in _between(part, split, left_out):
            is_test = chance(split.seed, str(families.of(position))) < split.test_share
            for set_name, one in sets.items():
                one.report.n_in += 1
                if is_test is (set_name == "test"):
                    one.report.n_out += 1
                    one.add(orjson.loads(line))
                else:
                    one.report.dropped["in the other part"] += 1
        if not all(one.report.n_out for one in sets.values()):
            raise DerivationWrong(reason="one of the parts would be empty: take another share or seed, or more rows")
        told = {"test_share": split.test_share, "seed": split.seed, "begin": split.begin, "end": split.end}
        draft = _draft(dataset, Origin.SPLIT, {"name": "split", "of": f"{version}/{name}", **told}, [version], licence)
        draft = replace(draft, also=(version.dataset.name,))
        return _stored(draft, sets, [version], lambda _, file: file)


def _between(part: Part, split: Split, left_out: Collection[int]) -> Iterator[tuple[int, bytes]]:
    return islice(lines_of(*part, without=left_out), split.begin, split.end)


def _ties(value: dict[str, Any]) -> list[int]:
    """What two rows of one family have in common."""
    record, source = record_of(value), value["source"]
    question = "".join(next(record.said_by(Role.USER), "").casefold().split())
    ties = [digest_of("question", question)] if question else []
    if source.get("file"):
        ties.append(digest_of("source", source["file"], str(source.get("record"))))
    return ties or [digest_of("id", record.id)]


# --- What both do -----------------------------------------------------------------------------------------------------


@contextmanager
def _sets(step: str, names: Any, dataset: str, versions: Collection[DatasetVersion]) -> Iterator[dict[str, _Set]]:
    """For `dataset`, of `versions`. From here until the new version is stored nothing is taken down from any of them: a
    takedown that came when its row was read would look for it in versions alone.
    """
    with TemporaryDirectory(prefix="dataset-") as folder, ExitStack() as files, transaction.atomic():
        datasets_lock([dataset, *(version.dataset.name for version in versions)])
        paths = {name: Path(folder) / f"{name}.jsonl" for name in names}
        sets = {
            name: _Set(path, files.enter_context(path.open("wb")), StepReport(step)) for name, path in paths.items()
        }
        yield sets


def _draft(dataset: str, origin: Origin, recipe: dict[str, Any], versions: list[DatasetVersion], licence: str) -> Draft:
    unique = list(dict.fromkeys(versions))
    inputs = [{"file": str(version), "format": "dataset", "sha256": version.hash} for version in unique]
    licences = Counter(version.licence for version in unique if version.licence)
    licence = licence or " AND ".join(sorted(licences))
    if len(licence) > LICENCE_MAX_CHARS:
        raise DerivationWrong(reason=f"the licences have over {LICENCE_MAX_CHARS} characters together: say --licence")
    return Draft(dataset, origin, recipe, inputs, code_hash(), licence=licence)


def _stored(
    draft: Draft, sets: dict[str, _Set], versions: list[DatasetVersion], named: _Named
) -> tuple[DatasetVersion, bool]:
    """`versions`: of which the rows were made. Who was erased after their rows were read is not stored again."""
    erased: defaultdict[str, list[int]] = defaultdict(list)
    with transaction.atomic():
        version, is_new = version_store(
            draft,
            {name: one.draft() for name, one in sets.items()},
            lambda wanted: _sources(versions, wanted, named, erased),
        )
        for file, records in erased.items():
            rows_empty(version.pk, file, records)
    return version, is_new


def _sources(
    versions: list[DatasetVersion], wanted: Wanted, named: _Named, erased: defaultdict[str, list[int]]
) -> Iterator[Source]:
    """`erased` learns which records are empty."""
    for version in dict.fromkeys(versions):
        for one in SourceRecord.objects.filter(version=version).iterator(chunk_size=200):
            file = named(version, one.file)
            if wanted.has(file, one.record):
                if one.is_erased:
                    erased[file].append(one.record)
                whose = (one.user_id, one.conversation, one.visitor_public_id, one.messages)
                yield Source(file, one.record, one.format, one.value, *whose)


# --- The same again ---------------------------------------------------------------------------------------------------


def version_renew(version: DatasetVersion) -> tuple[DatasetVersion, bool]:
    """As the next version, which is without what was taken down, and what may be used no more, since.

    Raises: DerivationWrong: there is neither.
    """
    if not version.taken_rows.exists() and not rows_unusable(version, list(version.sets)).exists():
        raise DerivationWrong(reason=f"nothing of {version} was taken down, and all of it may be used")
    with _sets("consent", version.sets, version.dataset.name, [version]) as sets:
        for name, one in sets.items():
            one.before = version.sets[name].get("steps", [])
            for _, line in lines_of(version, name, without=_left_out(version, name, [one.report])):
                one.file.write(line + b"\n")
                one.report.n_in += 1
                one.report.n_out += 1
        draft = _draft(version.dataset.name, Origin.TAKEDOWN, {"name": "takedown", "of": str(version)}, [version], "")
        return _stored(replace(draft, steps=version.steps), sets, [version], lambda _, file: file)
