"""A folder that `manage.py clean` wrote, read again: what its report says, and the lines of its sets. Pure but for
reading."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.core.texts import clean_json, clean_text, strict_json
from apps.datasets.errors import FolderWrong
from apps.datasets.names import name_check
from apps.datasets.report import StepReport, report_text

REPORT, CARD = "report.json", "README.md"


@dataclass(frozen=True, slots=True)
class Folder:
    """`report`: as `cleaning.report_dict` wrote it."""

    path: Path
    report: dict[str, Any]
    card: str

    def lines(self, set_name: str) -> Iterator[bytes]:
        """Without their ends. Raises: OSError."""
        with (self.path / self.report["sets"][set_name]["file"]).open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

    def hash_of(self, set_name: str) -> str:
        """SHA-256 of its file. Raises: OSError."""
        with (self.path / self.report["sets"][set_name]["file"]).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def folder_read(path: Path) -> Folder:
    """Raises: FolderWrong, NameWrong."""
    try:
        report = clean_json(strict_json((path / REPORT).read_bytes()))
        card = clean_text((path / CARD).read_text())
    except (OSError, ValueError, RecursionError) as exc:
        reason = getattr(exc, "strerror", None) or "its report cannot be read"
        raise FolderWrong(path=str(path), reason=f"{REPORT} or {CARD}: {reason}") from exc
    for field, is_so in _WANTED.items():
        if not isinstance(report, dict) or not is_so(report.get(field)):
            reason = f"{REPORT} has no {field!r} as `clean` writes it; make the folder again"
            raise FolderWrong(path=str(path), reason=reason)
    for name, told in report["sets"].items():
        name_check(name)
        # The name of a file beside the report, and of nothing elsewhere.
        if told.get("file") != f"{name}.jsonl" or not (path / told["file"]).is_file():
            raise FolderWrong(path=str(path), reason=f"there is no {name}.jsonl")
    return Folder(path, report, card)


# --- What a report must say -------------------------------------------------------------------------------------------


def _are_inputs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and isinstance(one.get("file"), str) for one in value)


def _are_sets(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(told, dict) and _are_steps(told.get("steps")) for told in value.values())


def _are_steps(value: object) -> bool:
    """Whether they can be shown to people, and drawn."""
    if not isinstance(value, list):
        return False
    try:
        reports = [StepReport.from_dict(one) for one in value]
        report_text(reports)
        return all(isinstance(one.name, str) and sum(one.dropped.values()) >= 0 for one in reports)
    except (TypeError, ValueError, LookupError, AttributeError):
        return False


_WANTED: dict[str, Callable[[object], bool]] = {
    "recipe": lambda value: isinstance(value, dict),
    "code_sha256": lambda value: isinstance(value, str) and len(value) <= 64,
    "inputs": _are_inputs,
    "steps": _are_steps,
    "sets": _are_sets,
}
