"""A recipe carried out: rows go through its steps chunk by chunk, in as many processes as are given.

Memory does not grow with the rows, but for the keys by which choices are made (up to a few kilobytes for each row).
What a run has done stays beside its output until it is finished, so that one that was killed goes on where it was.
"""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path

from apps.datasets.chunks import (
    FromChunk,
    FromFile,
    RenderTask,
    Result,
    Task,
    render_run,
    result_load,
    result_store,
    row_id,
    task_run,
    without,
)
from apps.datasets.errors import FileUnreadable
from apps.datasets.formats.files import Raw, raw_records, shape_find
from apps.datasets.formats.renaming import Names
from apps.datasets.formats.shapes import Shape
from apps.datasets.formats.writing import Form, Written
from apps.datasets.processes import Pool, processes
from apps.datasets.recipe import Output, Recipe
from apps.datasets.report import EXAMPLES_MAX, StepReport
from apps.datasets.steps.base import AddStep, ChoiceStep, Key, MapStep, Step
from apps.datasets.steps.form import FitsForm

CHUNK_ROWS = 250
CHUNK_CHARS = 2_000_000
"""A chunk ends with the record that makes it so long."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many chunks of it are done, and how many there are (0: not known)."""


@dataclass(frozen=True, slots=True)
class Input:
    """`name`: as rows and reports name it; empty: by its path. `split`: of the dataset whose file it is, if any.
    `taken`: how it came into its file, if it was taken from the site; `about`: what of it. `names`: what its fields are
    called, if not as its shape has them."""

    path: Path
    shape: Shape
    name: str = ""
    split: str = ""
    taken: StepReport | None = None
    about: dict[str, str] = field(default_factory=dict)
    names: Names | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """`only_first`: this many records of each file, for a look at what a recipe does."""

    n_workers: int = 1
    is_strict: bool = False
    form: Form = Form.MESSAGES
    only_first: int | None = None


@dataclass(frozen=True, slots=True)
class OutputMade:
    """`lines`: files of them, in order."""

    name: str
    lines: list[Path]
    written: Written
    reports: list[StepReport]
    """Of the steps of this output alone."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """Steps that rows go through at one go: records are added, each is looked at alone, then some are chosen."""

    add: AddStep | None
    maps: tuple[MapStep, ...]
    choices: tuple[ChoiceStep, ...]


@dataclass(slots=True)
class _Rows:
    """Where rows are, and what happened to them since the output above."""

    chunks: list[FromChunk]
    reports: list[StepReport] = field(default_factory=list)


def inputs_of(paths: Iterable[Path], shape: Shape | None = None, names: Names | None = None) -> list[Input]:
    """Raises: FileUnreadable, FormatUnknown."""
    given = list(paths)
    if twice := [path for path, n in Counter(given).items() if n > 1]:
        # Rows would not say of which of the two they are.
        raise FileUnreadable(path=str(twice[0]), reason="it is given twice")
    return [Input(path, shape or shape_find(path, names), names=names) for path in given]


def names_of(inputs: list[Input]) -> tuple[str, ...]:
    """As rows name them: by the last part of the path, or by the whole path where two would have one name."""
    taken = Counter(one.path.name for one in inputs)
    return tuple(one.name or (one.path.name if taken[one.path.name] == 1 else str(one.path)) for one in inputs)


class Run:
    """One recipe on some files, with a folder for what is under way."""

    def __init__(
        self,
        recipe: Recipe,
        inputs: list[Input],
        folder: Path,
        options: Options,
        progress: Progress | None = None,
        pool: Pool | None = None,
    ) -> None:
        """`pool`: instead of processes of this one."""
        self.inputs = inputs
        self._recipe, self._folder, self._options = recipe, folder, options
        self._progress = progress or (lambda what, done, n_all: None)
        self._pool = pool
        self._names = names_of(inputs)

    def outputs(self) -> tuple[list[StepReport], list[OutputMade]]:
        """The reports of the common steps, and what came out.

        Raises: FileUnreadable, RecordRefused, RecipeWrong, WorkerLost, OSError.
        """
        with nullcontext(self._pool) if self._pool else processes(self._options.n_workers) as pool:
            common = self._through(pool, "common", self._recipe.steps, None)
            made: dict[str, _Rows] = {}
            outputs = []
            for output in self._recipe.outputs:
                rows = made[output.name] = self._output(pool, output, made, common)
                rows = self._fitting(pool, output.name, rows)
                outputs.append(OutputMade(output.name, *self._rendered(pool, output.name, rows), rows.reports))
        return common.reports, outputs

    def _output(self, pool: Pool, output: Output, made: dict[str, _Rows], common: _Rows) -> _Rows:
        above = common if output.parent is None else made[output.parent]
        if not output.steps:
            return _Rows(above.chunks)
        return self._through(pool, f"output-{output.name}", output.steps, above.chunks)

    def _fitting(self, pool: Pool, name: str, rows: _Rows) -> _Rows:
        """Without what cannot be written as is asked for: the sets that are made of this one have it still."""
        if self._options.form in (Form.MESSAGES, Form.SHAREGPT):
            return rows
        fitting = self._through(pool, f"form-{name}", (FitsForm(str(self._options.form)),), rows.chunks)
        return _Rows(fitting.chunks, rows.reports + fitting.reports)

    def _through(self, pool: Pool, name: str, steps: tuple[Step, ...], chunks: list[FromChunk] | None) -> _Rows:
        """`chunks` None: from the input files."""
        rows = _Rows(chunks or [])
        for number, segment in enumerate(_segments(steps)):
            folder = self._folder / f"{name}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            # Rows that nothing happens to but that others come after them stay where they are.
            staying = rows.chunks if not segment.maps and not segment.choices else []
            going = [] if staying else rows.chunks
            tasks = self._tasks(segment, self._from_files() if chunks is None else going, folder)
            n_all = 0 if chunks is None else len(going) + bool(segment.add)
            made = self._segment(pool, segment, tasks, rows.reports, (name, n_all))
            rows = _Rows(staying + made.chunks, made.reports)
            chunks = rows.chunks
        return rows

    def _segment(
        self, pool: Pool, segment: _Segment, tasks: Iterator[Task], before: list[StepReport], told: tuple[str, int]
    ) -> _Rows:
        name, n_all = told
        chunks: list[FromChunk] = []
        n_rows: list[int] = []
        reports: list[StepReport] = []

        def keys_of_rows() -> Iterator[tuple[Key, ...]]:
            for done, result in enumerate(pool.in_order(_done_or_run, tasks), 1):
                _join(reports, result.reports)
                chunks.append(FromChunk(result.path, frozenset()))
                n_rows.append(result.n_rows)
                self._progress(name, done, n_all)
                yield from zip(*result.keys, strict=True)

        chosen = _Chosen(segment.choices)
        chosen.choose(keys_of_rows())
        chosen.name_examples(chunks, n_rows)
        return _Rows(list(_dropped(chunks, n_rows, chosen.out)), before + reports + chosen.reports)

    def _tasks(self, segment: _Segment, sources: Iterable[FromFile | FromChunk], folder: Path) -> Iterator[Task]:
        number = 0
        for number, source in enumerate(sources, 1):
            yield Task(source, segment.maps, segment.choices, folder / f"{number:06}.rows")
        if segment.add:
            yield Task(segment.add, segment.maps, segment.choices, folder / f"{number + 1:06}.rows")

    def _from_files(self) -> Iterator[FromFile]:
        for number, one in enumerate(self.inputs):
            records = islice(raw_records(one.path, one.names), self._options.only_first)
            for rows in _in_chunks(records):
                yield FromFile(number, self._names[number], one.shape, rows, self._options.is_strict)

    def _rendered(self, pool: Pool, name: str, rows: _Rows) -> tuple[list[Path], Written]:
        folder = self._folder / f"rendered-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        tasks = (
            RenderTask(chunk, self._options.form, self._names, folder / f"{number:06}.lines")
            for number, chunk in enumerate(rows.chunks, 1)
        )
        lines, written = [], Written()
        for done, part in enumerate(pool.in_order(render_run, tasks), 1):
            lines.append(part.path)
            written.join(part.written)
            self._progress(f"writing {name}", done, len(rows.chunks))
        return lines, written


# --- Steps ------------------------------------------------------------------------------------------------------------


def _segments(steps: tuple[Step, ...]) -> list[_Segment]:
    """At least one, so that rows are read even if nothing is done to them."""
    found: list[_Segment] = []
    add: AddStep | None = None
    maps: list[MapStep] = []
    choices: list[ChoiceStep] = []
    for step in steps:
        if isinstance(step, AddStep) or (isinstance(step, MapStep) and choices):
            if add or maps or choices:
                found.append(_Segment(add, tuple(maps), tuple(choices)))
            add, maps, choices = None, [], []
        match step:
            case AddStep():
                add = step
            case MapStep():
                maps.append(step)
            case ChoiceStep():
                choices.append(step)
    if add or maps or choices or not found:
        found.append(_Segment(add, tuple(maps), tuple(choices)))
    return found


class _Chosen:
    """Which rows are out, by their numbers; each choice sees those that the ones before it kept.

    Rows come while others are worked on, and are forgotten as soon as the choices need them no more.
    """

    def __init__(self, choices: tuple[ChoiceStep, ...]) -> None:
        self._choices = choices
        self.reports = [StepReport(choice.name) for choice in choices]
        self.out: set[int] = set()
        self._examples: list[tuple[StepReport, str, int]] = []

    def choose(self, keys_of_rows: Iterable[tuple[Key, ...]]) -> None:
        """`keys_of_rows`: of each row in order a key for each choice."""
        rows: Iterator[tuple[int, tuple[Key, ...]]] = enumerate(keys_of_rows)
        for place in range(len(self._choices)):
            rows = self._kept(rows, place)
        for _ in rows:
            pass

    def _kept(self, rows: Iterator[tuple[int, tuple[Key, ...]]], place: int) -> Iterator[tuple[int, tuple[Key, ...]]]:
        report = self.reports[place]
        asked: deque[tuple[int, tuple[Key, ...]]] = deque()

        def keys() -> Iterator[Key]:
            for row in rows:
                asked.append(row)
                report.n_in += 1
                yield row[1][place]

        for reason in self._choices[place].choose(keys()):
            row = asked.popleft()
            if reason is None:
                report.n_out += 1
                yield row
                continue
            report.dropped[reason] += 1
            self.out.add(row[0])
            if report.dropped[reason] <= EXAMPLES_MAX:
                self._examples.append((report, reason, row[0]))
        if asked:
            raise RuntimeError(f"{report.name} has not answered for {len(asked)} rows")

    def name_examples(self, chunks: list[FromChunk], n_rows: list[int]) -> None:
        """By their ids, which only the chunks know."""
        firsts = list(accumulate(n_rows, initial=0))
        for report, reason, number in self._examples:
            place = bisect_right(firsts, number) - 1
            report.examples.setdefault(reason, []).append(row_id(chunks[place].path, number - firsts[place]))


def _dropped(chunks: list[FromChunk], n_rows: list[int], out: set[int]) -> Iterator[FromChunk]:
    first = 0
    for chunk, n_here in zip(chunks, n_rows, strict=True):
        yield without(chunk, [number - first for number in range(first, first + n_here) if number in out])
        first += n_here


def _join(reports: list[StepReport], more: list[StepReport]) -> None:
    """One report for each step. A chunk of added records has that step's besides, before the others."""
    known = {one.name for one in reports}
    for place, one in enumerate(more):
        if one.name not in known:
            reports.insert(place, StepReport(one.name))
    # A step may be there twice: the second of a name is joined with the second.
    waiting: dict[str, deque[StepReport]] = {}
    for report in reports:
        waiting.setdefault(report.name, deque()).append(report)
    for one in more:
        if not waiting[one.name]:
            reports.append(StepReport(one.name))
            waiting[one.name].append(reports[-1])
        waiting[one.name].popleft().add(one)


def _in_chunks(records: Iterator[Raw]) -> Iterator[list[Raw]]:
    rows: list[Raw] = []
    n_chars = 0
    for raw in records:
        rows.append(raw)
        n_chars += raw.n_chars
        if len(rows) >= CHUNK_ROWS or n_chars >= CHUNK_CHARS:
            yield rows
            rows, n_chars = [], 0
    if rows:
        yield rows


def _done_or_run(task: Task) -> Result:
    done = result_load(task.path)
    if done is None:
        done = task_run(task)
        result_store(done)
    return done
