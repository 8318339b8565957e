"""Is a file of conversations fit to train on? Each fault by line and field, with what to do about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.core.json_stream import Broken
from apps.datasets.formats.files import Raw, raw_records
from apps.datasets.formats.renaming import Names
from apps.datasets.formats.shapes import RecordWrong, Shape, records_read
from apps.datasets.records import Message, Record, Role
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


def faults_of(path: Path, shape: Shape, checked: Checked, names: Names | None = None) -> Iterator[Fault]:
    """One for each record that has any, the first. `checked` counts along. `names`: what its fields are called.

    Raises: FileUnreadable.
    """
    first_places: dict[str, tuple[int, int]] = {}
    for raw in raw_records(path, names):
        checked.n_records += 1
        wrong = _wrong(raw, shape, first_places)
        if wrong is not None:
            checked.n_wrong += 1
            yield Fault(path, raw.line, raw.number, wrong.field, wrong.found, wrong.expected, wrong.fix)


def _wrong(raw: Raw, shape: Shape, first_places: dict[str, tuple[int, int]]) -> RecordWrong | None:
    if isinstance(raw.value, Broken):
        return RecordWrong("record", raw.value.reason, "JSON", "mend or remove it")
    try:
        records = records_read(shape, raw.value, (0, raw.number))
    except RecordWrong as exc:
        return exc
    for record in records:
        if wrong := _unfit(record):
            return wrong
        here = raw.line, raw.number
        if (first := first_places.setdefault(record.id, here)) != here:
            where = f"line {first[0]}, record {first[1]}"
            return RecordWrong("id", record.id, "one of its own", f"{where} has it too: the step unique_ids drops it")
    return None


def _unfit(record: Record) -> RecordWrong | None:
    if record.chosen is None or record.rejected is None:
        return _unfit_messages("message", record.messages) or _unfit_turns(record.messages)
    prompt, chosen, rejected = record.messages, record.chosen, record.rejected
    return (
        _unfit_messages("message", prompt)
        or _unfit_messages("chosen", chosen)
        or _unfit_messages("rejected", rejected)
        or _unfit_turns(prompt + chosen, answer="chosen")
        or _unfit_turns(prompt + rejected, answer="rejected")
    )


def _unfit_messages(name: str, messages: list[Message]) -> RecordWrong | None:
    for number, message in enumerate(messages):
        where = f"{name} {number}"
        if message.role not in set(Role):
            return RecordWrong(where, message.role, "system, user, assistant or tool", "rename the role")
        if is_empty(message):
            fix = "the step empty_messages cuts before it, or drops a pair of answers"
            return RecordWrong(where, message.content, "a text", fix)
    return None


def _unfit_turns(messages: list[Message], *, answer: str = "") -> RecordWrong | None:
    """`answer`: which of a pair ends these."""
    turns = "".join(message.role[0] for message in messages)
    field = answer or "messages"
    if not alternates(messages):
        fix = "mend it" if answer else "the step take_turns drops it, or joins neighbours"
        return RecordWrong(field, turns[:40], "user and assistant in turn, the user first", fix)
    if not turns.endswith("a"):
        fix = "mend it" if answer else "the step trim_turns takes away the rest"
        return RecordWrong(field, turns[-40:], "an answer at the end", fix)
    return None
