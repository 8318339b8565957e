"""A recipe from files to a folder of files: each set as JSON lines, with a report and a card beside them."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from apps.datasets.cards import card
from apps.datasets.errors import FileUnreadable, OutputUnwritable
from apps.datasets.folder import CARD, REPORT
from apps.datasets.formats.writing import Written
from apps.datasets.output_folder import begun, check_free, claimed, emptied, put_in_place, unfinished_of
from apps.datasets.processes import Pool
from apps.datasets.recipe import Recipe
from apps.datasets.report import StepReport
from apps.datasets.run import Input, Options, OutputMade, Progress, Run, names_of

PoolOf = Callable[[Path], AbstractContextManager[Pool | None]]

_SETS = "sets"
_BLOCK_BYTES = 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_CODE_ELSEWHERE = (
    "apps/core/json_stream.py",
    "apps/core/languages.py",
    "apps/core/texts.py",
    "apps/moderation/personal_data.py",
    "gpu_worker/annotation/embedding.py",
    "gpu_worker/annotation/lines.py",
    "gpu_worker/annotation/names.py",
    "gpu_worker/modeling/embedding.py",
    "gpu_worker/prompts/counting.py",
)
"""What the steps use of the rest of the project."""


@dataclass(frozen=True, slots=True)
class SetMade:
    """A file of a finished run. `sha256` of its bytes."""

    name: str
    path: Path
    sha256: str
    written: Written
    reports: list[StepReport]


@dataclass(frozen=True, slots=True)
class Cleaned:
    common: list[StepReport]
    sets: list[SetMade]


def recipe_run(
    recipe: Recipe,
    inputs: list[Input],
    output: Path,
    options: Options,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    pool_of: PoolOf = lambda work: nullcontext(None),
    settle: Callable[[], None] = lambda: None,
) -> Cleaned:
    """Write the sets of `recipe` into the folder `output`. A run that was broken off goes on.

    `overwrite`: replace what a run made there before, and what one that was broken off has left. `pool_of`: where tasks
    are done, for the folder of what is under way; None: in processes of this one. `settle`: the last look before the
    folder appears; what it raises stops that.
    Raises: OutputExists, OutputForeign, OutputBusy, OutputUnwritable, WorkStale, FileUnreadable, RecordRefused,
        RecipeWrong, WorkerLost, ChunkFailed.
    """
    paths = [one.path for one in inputs]
    check_free(output, overwrite=overwrite, inputs=paths)
    plan = _plan(recipe, inputs, options)
    unfinished = unfinished_of(output)
    try:
        with claimed(unfinished):
            check_free(output, overwrite=overwrite, inputs=paths)  # again: a run that has just ended may have made it
            begun(unfinished, plan, overwrite=overwrite)
            try:
                with pool_of(unfinished / "work") as pool:
                    run = Run(recipe, inputs, unfinished / "work" / _plan_hash(plan), options, progress, pool)
                    cleaned = _made(recipe, run, unfinished)
                settle()
                put_in_place(unfinished / _SETS, output)
            except OSError as exc:
                if exc.errno == errno.ENOSPC:
                    emptied(unfinished)
                raise
            emptied(unfinished)
    except OSError as exc:
        raise OutputUnwritable(path=str(output), reason=exc.strerror or str(exc)) from exc
    return Cleaned(cleaned.common, [replace(one, path=output / one.path.name) for one in cleaned.sets])


def _made(recipe: Recipe, run: Run, unfinished: Path) -> Cleaned:
    common, made = run.outputs()
    common = _taken(run.inputs) + common
    finished = unfinished / _SETS
    if finished.exists():
        shutil.rmtree(finished)
    finished.mkdir()
    cleaned = Cleaned(common, [_put_together(one, finished) for one in made])
    report = report_dict(recipe, run.inputs, cleaned)
    (finished / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False))
    of = [f"- `{one['file']}`, read as {one['format']}" for one in report["inputs"]]
    text = card(recipe.name, ["Made by `manage.py clean` from:", "", *of], report["sets"])
    (finished / CARD).write_text(text)
    return cleaned


def recipe_try(recipe: Recipe, inputs: list[Input], n_records: int, options: Options) -> Cleaned:
    """What the recipe would do to the first records of each file. Nothing stays.

    Raises: as `recipe_run`.
    """
    try:
        with TemporaryDirectory(prefix="recipe-") as folder:
            common, made = Run(recipe, inputs, Path(folder), replace(options, only_first=n_records)).outputs()
            return Cleaned(
                _taken(inputs) + common, [SetMade(one.name, Path(), "", one.written, one.reports) for one in made]
            )
    except OSError as exc:
        raise OutputUnwritable(path=gettempdir(), reason=exc.strerror or str(exc)) from exc


def _taken(inputs: Iterable[Input]) -> list[StepReport]:
    """What was done before there was a file."""
    return [one.taken for one in inputs if one.taken is not None]


def _plan(recipe: Recipe, inputs: Iterable[Input], options: Options) -> dict[str, Any]:
    """What must be the same for a run to go on with what another began. Raises: FileUnreadable."""
    return {
        "recipe": [recipe.name, recipe.hash],
        "files": {str(path): _file_hash(path) for path in recipe.files()},
        "inputs": [_input(one) for one in inputs],
        "code": code_hash(),
        "form": str(options.form),
        "is_strict": options.is_strict,
    }


def _plan_hash(plan: dict[str, Any]) -> str:
    """The name of the folder of what is under way: a worker that is late with a chunk of another plan finds its folder
    gone, and not one of the same name."""
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:16]


def _input(one: Input) -> list[Any]:
    try:
        stat = one.path.stat()
    except OSError as exc:
        raise FileUnreadable(path=str(one.path), reason=exc.strerror or str(exc)) from exc
    found = [str(one.path.resolve()), stat.st_size, stat.st_mtime_ns, one.shape, one.name]
    return [*found, one.names.as_dict()] if one.names else found


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise FileUnreadable(path=str(path), reason=exc.strerror or str(exc)) from exc


def code_hash() -> str:
    """Of everything of this project that may change what comes out."""
    digest = hashlib.sha256()
    for path in code_files():
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_files() -> list[Path]:
    return sorted([*Path(__file__).parent.rglob("*.py"), *(_ROOT / name for name in _CODE_ELSEWHERE)])


def _put_together(made: OutputMade, folder: Path) -> SetMade:
    path = folder / f"{made.name}.jsonl"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in made.lines:
            with part.open("rb") as lines:
                while block := lines.read(_BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
    return SetMade(made.name, path, digest.hexdigest(), made.written, made.reports)


# --- What is said of it -----------------------------------------------------------------------------------------------


def report_dict(recipe: Recipe, inputs: list[Input], cleaned: Cleaned) -> dict[str, Any]:
    names = names_of(inputs)
    return {
        "recipe": {"name": recipe.name, "sha256": recipe.hash, **recipe.told},
        "code_sha256": code_hash(),
        "inputs": [
            {
                "file": name,
                "format": one.shape,
                **({"split": one.split} if one.split else {}),
                **(one.names.as_dict() if one.names else {}),
                **one.about,
            }
            for name, one in zip(names, inputs, strict=True)
        ],
        "steps": [_told(one, inputs) for one in cleaned.common],
        "sets": {
            one.name: {
                "file": one.path.name,
                "sha256": one.sha256,
                **one.written.as_dict(),
                "steps": [_told(report, inputs) for report in one.reports],
            }
            for one in cleaned.sets
        },
    }


def _told(report: StepReport, inputs: list[Input]) -> dict[str, Any]:
    """Without examples if people wrote any of it here: these quote records, and no erasure looks for them there."""
    told = report.as_dict()
    return told | {"examples": {}} if _taken(inputs) else told
