"""A recipe from files to a folder of files: each set as JSON lines, with a report and a card beside them.

The folder is there only when all is in it. Until then what is done so far stays beside it, in a folder of its name with
`.unfinished`, and the same command goes on from there.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apps.datasets.chunks import Rendered
from apps.datasets.errors import OutputExists, OutputUnwritable, WorkStale
from apps.datasets.formats.writing import Written
from apps.datasets.recipe import Recipe
from apps.datasets.report import StepReport
from apps.datasets.run import Input, Options, OutputMade, Progress, Run, names_of

_PLAN = "plan.json"
_BLOCK_BYTES = 1024 * 1024


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
) -> Cleaned:
    """Write the sets of `recipe` into the folder `output`. A run that was broken off goes on.

    Raises: OutputExists, OutputUnwritable, WorkStale, FileUnreadable, RecordRefused, RecipeWrong, WorkerLost.
    """
    if output.exists() and not overwrite:
        raise OutputExists(path=str(output))
    unfinished = output.with_name(output.name + ".unfinished")
    try:
        _begin(unfinished, _plan(recipe, inputs, options), overwrite=overwrite)
        common, made = Run(recipe, inputs, unfinished / "work", options, progress).outputs()
        finished = unfinished / "sets"
        finished.mkdir(exist_ok=True)
        sets = [_put_together(one, finished) for one in made]
        cleaned = Cleaned(common, sets)
        (finished / "report.json").write_text(
            json.dumps(report_dict(recipe, inputs, cleaned), indent=2, ensure_ascii=False)
        )
        (finished / "README.md").write_text(card(recipe, inputs, cleaned))
        if output.exists():
            shutil.rmtree(output)
        finished.rename(output)
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise OutputUnwritable(path=str(output), reason=exc.strerror or str(exc)) from exc
    shutil.rmtree(unfinished)
    return Cleaned(common, [replace(one, path=output / one.path.name) for one in sets])


def recipe_try(recipe: Recipe, inputs: list[Input], n_records: int, options: Options) -> Cleaned:
    """What the recipe would do to the first records of each file. Nothing stays."""
    with TemporaryDirectory(prefix="recipe-") as folder:
        common, made = Run(recipe, inputs, Path(folder), replace(options, only_first=n_records)).outputs()
        return Cleaned(common, [SetMade(one.name, Path(), "", _sum(one.parts), one.reports) for one in made])


def _begin(unfinished: Path, plan: dict[str, Any], *, overwrite: bool) -> None:
    unfinished.mkdir(parents=True, exist_ok=True)
    path = unfinished / _PLAN
    if path.exists() and json.loads(path.read_text()) != plan:
        if not overwrite:
            raise WorkStale(path=str(unfinished))
        shutil.rmtree(unfinished)
        unfinished.mkdir()
    path.write_text(json.dumps(plan))


def _plan(recipe: Recipe, inputs: Iterable[Input], options: Options) -> dict[str, Any]:
    """What must be the same for a run to go on with what another began."""
    stats = [(one, one.path.stat()) for one in inputs]
    files = [[str(one.path.resolve()), stat.st_size, stat.st_mtime_ns, one.shape] for one, stat in stats]
    return {
        "recipe": recipe.hash,
        "inputs": files,
        "code": code_hash(),
        "form": str(options.form),
        "is_strict": options.is_strict,
    }


def code_hash() -> str:
    """Of everything in this app that may change what comes out."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        digest.update(str(path.relative_to(here)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _put_together(made: OutputMade, folder: Path) -> SetMade:
    path = folder / f"{made.name}.jsonl"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in made.parts:
            with part.path.open("rb") as lines:
                while block := lines.read(_BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
    return SetMade(made.name, path, digest.hexdigest(), _sum(made.parts), made.reports)


def _sum(parts: Iterable[Rendered]) -> Written:
    written = Written()
    for part in parts:
        written.join(part.written)
    return written


# --- What is said of it -----------------------------------------------------------------------------------------------


def report_dict(recipe: Recipe, inputs: list[Input], cleaned: Cleaned) -> dict[str, Any]:
    names = names_of(inputs)
    return {
        "recipe": {"name": recipe.name, "sha256": recipe.hash, **recipe.told},
        "code_sha256": code_hash(),
        "inputs": [{"file": name, "format": one.shape} for name, one in zip(names, inputs, strict=True)],
        "steps": [one.as_dict() for one in cleaned.common],
        "sets": {
            one.name: {
                "file": one.path.name,
                "sha256": one.sha256,
                **one.written.as_dict(),
                "steps": [report.as_dict() for report in one.reports],
            }
            for one in cleaned.sets
        },
    }


def card(recipe: Recipe, inputs: Iterable[Input], cleaned: Cleaned) -> str:
    """The data card, in Markdown."""
    lines = [f"# {recipe.name}", "", "Made by `manage.py clean` from:", ""]
    lines += [f"- `{one.path.name}`, read as {one.shape}" for one in inputs]
    lines += ["", "| set | conversations | messages | characters | SHA-256 |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| {one.name} | {one.written.n_conversations} | {one.written.n_messages} | {one.written.n_chars} "
        f"| `{one.sha256}` |"
        for one in cleaned.sets
    ]
    for one in cleaned.sets:
        lines += ["", f"## {one.name}", ""]
        lines += _counted("characters of a conversation, from", one.written.lengths)
        lines += _counted("language", one.written.languages)
        lines += _counted("model", one.written.models)
    lines += ["", "What each step did is in `report.json`. Rows say in `source` where they come from.", ""]
    return "\n".join(lines)


def _counted(what: str, counts: Any) -> list[str]:
    if not counts:
        return []
    rows = sorted(counts.items()) if all(isinstance(name, int) for name in counts) else counts.most_common(20)
    return [f"| {what} | conversations |", "|---|---:|", *(f"| {name} | {count} |" for name, count in rows), ""]
