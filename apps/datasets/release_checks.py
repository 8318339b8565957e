"""What is looked at before a version is given to others: each check says in words what it found."""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from apps.datasets.models import DatasetRow, DatasetVersion
from apps.datasets.release_models import TakenRow
from apps.datasets.row_lines import record_of
from apps.datasets.selectors import lines_of, rows_unusable
from apps.datasets.site.asked import UNUSABLE
from apps.datasets.steps.base import Dropped
from apps.datasets.steps.personal import PersonalData

PAGE_ROWS = 2_000
"""To look through more takes over a second, for which no request waits."""


@dataclass(frozen=True, slots=True)
class Check:
    """`is_fine` False: whoever decides should look. `is_needed`: and without it there is no release."""

    name: str
    is_fine: bool
    words: str
    is_needed: bool = False


@dataclass(slots=True)
class _Looked:
    """What stands in the rows, all of which are read once."""

    n_rows: int = 0
    n_personal: int = 0
    personal: Counter[str] | None = None
    n_tagged: int = 0
    n_flagged: int = 0
    n_unchecked: int = 0


def checks_of(version: DatasetVersion, set_names: list[str]) -> list[Check]:
    """Streamed: memory does not grow with the rows."""
    looked = _looked_at(version, set_names)
    return [
        _licence(version),
        Check("rows", looked.n_rows > 0, f"{looked.n_rows} rows are released", is_needed=True),
        _taken(version, set_names),
        _consent(version, set_names),
        _erased(version, set_names),
        _personal(looked),
        _moderation(looked),
    ]


def is_large(version: DatasetVersion, set_names: Collection[str]) -> bool:
    """Whether a page would have to wait too long for the checks."""
    return sum(int(version.sets[name]["n_rows"]) for name in set_names) > PAGE_ROWS


def as_json(checks: list[Check]) -> list[dict[str, Any]]:
    return [asdict(check) for check in checks]


def n_taken(version: DatasetVersion, set_names: list[str]) -> int:
    return TakenRow.objects.filter(version=version, set_name__in=set_names).count()


def _licence(version: DatasetVersion) -> Check:
    words = version.licence or "the version has none: store it again with --licence, as CC-BY-4.0"
    return Check("licence", bool(version.licence), words, is_needed=True)


def _taken(version: DatasetVersion, set_names: list[str]) -> Check:
    n = n_taken(version, set_names)
    words = f"{n} rows were taken down; `manage.py dataset renew {version}` makes the next version, without them"
    return Check("takedowns", not n, words if n else "no row was taken down", is_needed=True)


def n_unusable(version: DatasetVersion, set_names: list[str]) -> int:
    """Of people who let them be used no more or deleted what they were made of, or moderators took something out."""
    return rows_unusable(version, set_names).count()


def _consent(version: DatasetVersion, set_names: list[str]) -> Check:
    n = n_unusable(version, set_names)
    words = f"{n} rows: {UNUSABLE}; `manage.py dataset renew {version}` leaves them out"
    fine = "all rows of people may be used: they agree, and moderators took nothing out"
    return Check("consent", not n, words if n else fine, is_needed=True)


def n_erased(version: DatasetVersion, set_names: list[str]) -> int:
    return DatasetRow.objects.filter(version=version, set_name__in=set_names, line=None).count()


def _erased(version: DatasetVersion, set_names: list[str]) -> Check:
    n = n_erased(version, set_names)
    return Check("erasures", True, f"{n} rows of people who asked for erasure are empty, and are left out")


def _personal(looked: _Looked) -> Check:
    counts = ", ".join(f"{what} {n}" for what, n in sorted((looked.personal or Counter()).items()))
    words = f"in {looked.n_personal} rows the step personal_data would still find something ({counts})"
    return Check("personal data", not looked.n_personal, words if looked.n_personal else "no rule finds any")


def _moderation(looked: _Looked) -> Check:
    n_without = looked.n_rows - looked.n_tagged - looked.n_unchecked
    words = (
        f"{looked.n_flagged} rows are flagged, {looked.n_unchecked} were not judged in time, "
        f"{n_without} have no tags of the step moderation_tags"
    )
    return Check("moderation", not (looked.n_flagged or looked.n_unchecked or n_without), words)


def _looked_at(version: DatasetVersion, set_names: list[str]) -> _Looked:
    looked, step, notes = _Looked(), PersonalData(), Counter[str]()
    for name in set_names:
        for _, line in lines_of(version, name):
            value = orjson.loads(line)
            looked.n_rows += 1
            looked.n_tagged += isinstance(value.get("moderation"), dict)
            looked.n_flagged += bool(value.get("moderation_flagged"))
            looked.n_unchecked += "moderation_unchecked" in value
            record = record_of(value)
            record.fields.pop("source", None)  # names of files of this site
            record.steps = []
            outcome = step.apply(record, notes)
            looked.n_personal += isinstance(outcome, Dropped) or step.name in record.steps
    looked.personal = Counter({what.removesuffix(" taken out"): n for what, n in notes.items()})
    return looked
