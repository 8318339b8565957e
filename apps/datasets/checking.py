"""Is a file of conversations fit to train on? Each fault by line and field, with what to do about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.core.json_stream import Broken
from apps.datasets.formats.files import Raw, raw_records
from apps.datasets.formats.shapes import RecordWrong, Shape, records_read
from apps.datasets.records import Record, Role
from apps.datasets.steps.turns import alternates, is_empty


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` from 1, `record` from 0."""

    path: Path
    line: int
    record: int
    field: str
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}, record {self.record}, {self.field}"
        return f"{where}: found {self.found}, expected {self.expected}; {self.fix}"


@dataclass(slots=True)
class Checked:
    """How many records were looked at, and how many of them have a fault."""

    n_records: int = 0
    n_wrong: int = 0


def faults_of(path: Path, shape: Shape, checked: Checked) -> Iterator[Fault]:
    """One for each record that has any, the first. `checked` counts along. Raises: FileUnreadable."""
    first_lines: dict[str, int] = {}
    for raw in raw_records(path):
        checked.n_records += 1
        wrong = _wrong(raw, shape, first_lines)
        if wrong is not None:
            checked.n_wrong += 1
            yield Fault(path, raw.line, raw.number, wrong.field, wrong.found, wrong.expected, wrong.fix)


def _wrong(raw: Raw, shape: Shape, first_lines: dict[str, int]) -> RecordWrong | None:
    if isinstance(raw.value, Broken):
        return RecordWrong("record", raw.value.reason, "JSON", "mend or remove it")
    try:
        records = records_read(shape, raw.value, (0, raw.number))
    except RecordWrong as exc:
        return exc
    for record in records:
        if wrong := _unfit(record):
            return wrong
        if (first := first_lines.setdefault(record.id, raw.line)) != raw.line:
            return RecordWrong(
                "id", record.id, "one of its own", f"line {first} has it too: the step unique_ids drops it"
            )
    return None


def _unfit(record: Record) -> RecordWrong | None:
    known = {str(role) for role in Role}
    for number, message in enumerate(record.messages):
        where = f"message {number}"
        if message.role not in known:
            return RecordWrong(where, message.role, "system, user, assistant or tool", "rename the role")
        if is_empty(message):
            return RecordWrong(where, message.content, "a text", "the step empty_messages cuts before it")
    turns = "".join(message.role[0] for message in record.messages)
    if not alternates(record.messages):
        fix = "the step take_turns drops it, or joins neighbours"
        return RecordWrong("messages", turns[:40], "user and assistant in turn, the user first", fix)
    if record.chosen is None and not turns.endswith("a"):
        return RecordWrong("messages", turns[-40:], "an answer at the end", "the step trim_turns takes away the rest")
    return None
