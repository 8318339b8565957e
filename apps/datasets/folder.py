"""A folder that `manage.py clean` wrote, read again: what its report says, and the lines of its sets. Pure but for
reading."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.datasets.errors import FolderWrong
from apps.datasets.names import name_check

REPORT, CARD = "report.json", "README.md"
_WANTED = {"recipe": dict, "code_sha256": str, "inputs": list, "steps": list, "sets": dict}


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


def folder_read(path: Path) -> Folder:
    """Raises: FolderWrong, NameWrong."""
    try:
        report = json.loads((path / REPORT).read_bytes())
        card = (path / CARD).read_text()
    except (OSError, ValueError, RecursionError) as exc:
        reason = getattr(exc, "strerror", None) or "its report cannot be read"
        raise FolderWrong(path=str(path), reason=f"{REPORT} or {CARD}: {reason}") from exc
    for field, kind in _WANTED.items():
        if not isinstance(report, dict) or not isinstance(report.get(field), kind):
            raise FolderWrong(path=str(path), reason=f"{REPORT} has no {field!r}; make the folder again with `clean`")
    for name, told in report["sets"].items():
        name_check(name)
        # The name of a file beside the report, and of nothing elsewhere.
        if told.get("file") != f"{name}.jsonl" or not (path / told["file"]).is_file():
            raise FolderWrong(path=str(path), reason=f"there is no {name}.jsonl")
    return Folder(path, report, card)
