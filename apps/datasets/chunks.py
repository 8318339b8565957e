"""The work on one chunk of rows: what a process of the run does, with nothing known of the others.

Pure but for its two files. The same task gives the same bytes wherever and however often it runs.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from apps.core.json_stream import Broken
from apps.datasets.errors import RecordRefused
from apps.datasets.formats.files import Raw
from apps.datasets.formats.shapes import RecordWrong, Shape, records_read
from apps.datasets.formats.writing import Form, Written, rendered
from apps.datasets.records import Record, dumped, loaded
from apps.datasets.report import StepReport
from apps.datasets.steps.base import AddStep, ChoiceStep, Dropped, Key, MapStep

READ = "read"
"""What the reading of files is called among the steps."""

_ROWS_AT_ONCE = 50
"""Their keys are asked for together; more would take more memory than they save time."""


@dataclass(frozen=True, slots=True)
class FromFile:
    """Records of an input file. `is_strict`: the first one that cannot be read is the end."""

    file: int
    name: str
    shape: Shape
    rows: list[Raw]
    is_strict: bool


@dataclass(frozen=True, slots=True)
class FromChunk:
    """Rows that an earlier task wrote, without those that were dropped since."""

    path: Path
    dropped: frozenset[int]


Source = FromFile | FromChunk | AddStep


@dataclass(frozen=True, slots=True)
class Task:
    """From `source` through `maps` to `path`, with the keys of `choices`."""

    source: Source
    maps: tuple[MapStep, ...]
    choices: tuple[ChoiceStep, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Result:
    """`keys`: a list for each choice, with one key for each row of `path`."""

    path: Path
    n_rows: int
    reports: list[StepReport]
    keys: list[list[Key]]


@dataclass(frozen=True, slots=True)
class RenderTask:
    """The last thing that is done to rows: they become lines of an output."""

    source: FromChunk
    form: Form
    names: tuple[str, ...]
    """Of the input files, for the lineage."""
    path: Path


@dataclass(frozen=True, slots=True)
class Rendered:
    path: Path
    written: Written


@dataclass(slots=True)
class _Rows:
    """Rows on their way through the steps of one chunk."""

    reports: list[StepReport] = field(default_factory=list)

    def through(self, records: Iterator[Record], step: MapStep) -> Iterator[Record]:
        """The report stands where the step does, although nothing has gone through it yet."""
        report = StepReport(step.name)
        self.reports.append(report)
        return self._applied(records, step, report)

    def _applied(self, records: Iterator[Record], step: MapStep, report: StepReport) -> Iterator[Record]:
        for record in records:
            report.n_in += 1
            outcome = step.apply(record, report.notes)
            if isinstance(outcome, Dropped):
                report.drop(outcome.reason, _example(record, outcome.detail))
                continue
            made = outcome if isinstance(outcome, list) else [outcome]
            report.n_made += len(made) - 1
            report.n_out += len(made)
            yield from made


def task_run(task: Task) -> Result:
    """Raises: RecordRefused, RecipeWrong, OSError."""
    rows = _Rows()
    records = _records(task.source, rows)
    for step in task.maps:
        records = rows.through(records, step)
    keys: list[list[Key]] = [[] for _ in task.choices]
    n_rows = 0
    with written_whole(task.path) as file:
        while some := list(islice(records, _ROWS_AT_ONCE)):
            for choice, its_keys in zip(task.choices, keys, strict=True):
                its_keys.extend(choice.keys(some))
            file.writelines(dumped(record) + b"\n" for record in some)
            n_rows += len(some)
    for report in rows.reports:
        report.notes = Counter({note: count for note, count in report.notes.items() if count})
    return Result(task.path, n_rows, rows.reports, keys)


def render_run(task: RenderTask) -> Rendered:
    """Raises: OSError."""
    written = Written()
    with written_whole(task.path) as file:
        for record in _rows_of(task.source):
            file.write(rendered(record, task.form, task.names))
            written.add(record)
    return Rendered(task.path, written)


# --- Where records come from ------------------------------------------------------------------------------------------


def _records(source: Source, rows: _Rows) -> Iterator[Record]:
    match source:
        case FromFile():
            report = StepReport(READ)
            rows.reports.append(report)
            return _read(source, report)
        case FromChunk():
            return _rows_of(source)
        case _:
            report = StepReport(source.name)
            rows.reports.append(report)
            return _added(source, report)


def _read(source: FromFile, report: StepReport) -> Iterator[Record]:
    for raw in source.rows:
        report.n_in += 1
        try:
            if isinstance(raw.value, Broken):
                raise RecordWrong("record", raw.value.reason, "JSON", "mend or remove it")
            records = records_read(source.shape, raw.value, (source.file, raw.number))
        except RecordWrong as exc:
            where = f"{source.name}, line {raw.line}, record {raw.number}"
            if source.is_strict:
                raise RecordRefused(where=where, reason=str(exc)) from exc
            report.drop("cannot be read", f"{where}: {exc}")
            continue
        report.n_made += len(records) - 1
        report.n_out += len(records)
        yield from records


def _added(source: AddStep, report: StepReport) -> Iterator[Record]:
    for record in source.added():
        report.n_made += 1
        report.n_out += 1
        yield record


def _rows_of(source: FromChunk) -> Iterator[Record]:
    with source.path.open("rb") as file:
        for number, line in enumerate(file):
            if number not in source.dropped:
                yield loaded(line)


def row_id(path: Path, number: int) -> str:
    with path.open("rb") as file:
        return loaded(next(islice(file, number, None))).id


# --- Files ------------------------------------------------------------------------------------------------------------


class written_whole:  # used as a function
    """A file that has its name only when all is in it."""

    def __init__(self, path: Path) -> None:
        # A process that an earlier run has left may still write the same.
        self._path, self._part = path, path.with_name(f"{path.name}.{os.getpid()}.part")

    def __enter__(self) -> Any:
        self._file = self._part.open("wb")
        return self._file

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


def result_store(result: Result) -> None:
    """Beside its rows, so that a run that was killed goes on without doing it again."""
    told = {"n_rows": result.n_rows, "reports": [one.as_dict() for one in result.reports], "keys": result.keys}
    with written_whole(_result_path(result.path)) as file:
        file.write(orjson.dumps(told))


def result_load(path: Path) -> Result | None:
    """None: the task has not been done."""
    try:
        told = orjson.loads(_result_path(path).read_bytes())
    except FileNotFoundError:
        return None
    return Result(path, told["n_rows"], list(map(StepReport.from_dict, told["reports"])), told["keys"])


def _result_path(path: Path) -> Path:
    return path.with_suffix(".result")


def _example(record: Record, detail: str) -> str:
    return f"{record.id}: {detail}" if detail else record.id


def without(source: FromChunk, dropped: Sequence[int]) -> FromChunk:
    return replace(source, dropped=source.dropped | set(dropped))
