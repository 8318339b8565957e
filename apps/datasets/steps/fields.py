"""What stands beside conversations: fields that go, get other names, or come from another file."""

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from apps.core.json_stream import Broken
from apps.core.texts import clean_json
from apps.datasets.errors import FileUnreadable
from apps.datasets.formats.files import raw_records
from apps.datasets.records import Record
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.steps.duplicates import digest_of


@step
@dataclass(frozen=True)
class DropFields(MapStep):
    """Take the fields `names` away, as "tstamp" and "user_id". Ids, models and messages are no fields."""

    name = "drop_fields"
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.names:
            raise OptionWrong("names: give at least one")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for name in self.names:
            if name in record.fields:
                del record.fields[name]
                notes[f"{name} taken away"] += 1
        return record


@step
@dataclass(frozen=True)
class RenameFields(MapStep):
    """Give fields other names: `names` has the new name of each. A name that is taken already is not given again: the
    field keeps its own, and is counted.
    """

    name = "rename_fields"
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names or not all(self.names.values()):
            raise OptionWrong("names: give at least one, as {tstamp: asked_at}")
        if len(set(self.names.values())) < len(self.names) or set(self.names) & set(self.names.values()):
            raise OptionWrong("names: each new name once, and none of them is renamed itself")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for old, new in self.names.items():
            if old not in record.fields:
                continue
            if new in record.fields:
                notes[f"{old} keeps its name: there is {new} already"] += 1
                continue
            record.fields[new] = record.fields.pop(old)
            notes[f"{old} renamed"] += 1
        return record


@step
@dataclass(frozen=True)
class JoinFields(MapStep):
    """Take `fields` over from the records of another `file` (JSON, JSON lines, Parquet, or packed) that have the row's
    id in their field `key`.

    `by`: a field of the row to be looked for instead of its id. What stood in a field is replaced. Rows for which there
    is no record are counted, and dropped with `drop_missing`. Each process keeps `fields` of all records in memory.
    """

    name = "join_fields"
    file: str = ""
    fields: list[str] = field(default_factory=list)
    key: str = "id"
    by: str = "id"
    drop_missing: bool = False

    def __post_init__(self) -> None:
        if not self.file or not self.fields:
            raise OptionWrong("file, fields: give the file, and at least one of its fields")
        self._table()

    def files(self) -> tuple[Path, ...]:
        return (Path(self.file),)

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        id_ = record.id if self.by == "id" else record.fields.get(self.by)
        found = self._table().get(digest_of(str(id_))) if isinstance(id_, str | int) else None
        if found is None:
            if self.drop_missing:
                return Dropped(f"not in {Path(self.file).name}", str(id_)[:60])
            notes[f"not in {Path(self.file).name}"] += 1
            return record
        record.fields |= orjson.loads(found)
        return record

    def _table(self) -> dict[int, bytes]:
        """Raises: OptionWrong: the file cannot be read, or does not say what is asked of it."""
        try:
            stat = Path(self.file).stat()
        except OSError as exc:
            raise OptionWrong(f"file: {self.file}: {exc.strerror}") from exc
        return _table_of(self.file, self.key, tuple(self.fields), (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=4)
def _table_of(file: str, key: str, fields: tuple[str, ...], stat: object) -> dict[int, bytes]:
    """By a digest of the id. `stat`: of the file, so that a changed one is read again. Raises: OptionWrong."""
    table: dict[int, bytes] = {}
    try:
        for raw in raw_records(Path(file)):
            try:
                id_, told = _told(raw.value, key, fields)
            except TypeError as exc:
                why = f"a field cannot be kept ({exc}): write it as a text"
                raise OptionWrong(f"file: {file}, line {raw.line}: {why}") from exc
            if told is None:
                raise OptionWrong(f"file: {file}, line {raw.line}: expected an object with {key!r}, a text or a number")
            if table.setdefault(digest_of(id_), told) != told:
                raise OptionWrong(f"file: {file}, line {raw.line}: {id_[:60]!r} was there before, and said otherwise")
    except FileUnreadable as exc:
        raise OptionWrong(f"file: {exc.message}") from exc
    if all(told == b"{}" for told in table.values()):
        raise OptionWrong(f"fields: no record of {file} has one of {', '.join(fields)}")
    return table


def _told(value: Any, key: str, fields: tuple[str, ...]) -> tuple[str, bytes | None]:
    if isinstance(value, Broken) or not isinstance(value, dict) or not isinstance(value.get(key), str | int):
        return "", None
    return str(value[key]), orjson.dumps(clean_json({name: value[name] for name in fields if name in value}))
