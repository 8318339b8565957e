"""Tasks and their results as JSON, for processes that share nothing but files. Pure but for the files."""

import json
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from apps.core.json_stream import Broken
from apps.datasets.chunks import FromChunk, FromFile, Rendered, RenderTask, Result, Source, Task, result_load
from apps.datasets.formats.files import Raw
from apps.datasets.formats.shapes import Shape
from apps.datasets.formats.writing import Form, Written
from apps.datasets.steps.all import STEPS
from apps.datasets.steps.base import AddStep, ChoiceStep, MapStep, Step

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """`code`: hash of the code of whoever asks; with another one, something else could come out."""

    task: Task | RenderTask
    code: str


def work_write(work: Work, path: Path) -> None:
    """Raises: OSError."""
    task = _render_told(work.task) if isinstance(work.task, RenderTask) else _task_told(work.task)
    # A byte that is not UTF-8 stands in a record as a lone surrogate, until the record is cleaned.
    told = json.dumps({"code": work.code, "task": task}, ensure_ascii=False)
    path.write_bytes(told.encode("utf-8", "surrogatepass"))


def work_read(path: Path) -> Work:
    """Raises: OSError; OptionWrong: a file that a step reads is not on this machine."""
    told = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    task = told["task"]
    return Work(_render_of(task) if "form" in task else _task_of(task), told["code"])


# --- Tasks ------------------------------------------------------------------------------------------------------------


def _task_told(task: Task) -> Told:
    return {
        "path": str(task.path.absolute()),
        "source": _source_told(task.source),
        "maps": list(map(_step_told, task.maps)),
        "choices": list(map(_step_told, task.choices)),
    }


def _task_of(told: Told) -> Task:
    maps = tuple(step for step in map(_step_of, told["maps"]) if isinstance(step, MapStep))
    choices = tuple(step for step in map(_step_of, told["choices"]) if isinstance(step, ChoiceStep))
    return Task(_source_of(told["source"]), maps, choices, Path(told["path"]))


def _render_told(task: RenderTask) -> Told:
    return {
        "path": str(task.path.absolute()),
        "source": _source_told(task.source),
        "form": str(task.form),
        "names": list(task.names),
    }


def _render_of(told: Told) -> RenderTask:
    source = _source_of(told["source"])
    assert isinstance(source, FromChunk)  # noqa: S101  # nothing else is written of a RenderTask
    return RenderTask(source, Form(told["form"]), tuple(told["names"]), Path(told["path"]))


def _source_told(source: Source) -> Told:
    match source:
        case FromFile():
            return {
                "file": source.file,
                "name": source.name,
                "shape": str(source.shape),
                "rows": list(map(_raw_told, source.rows)),
                "is_strict": source.is_strict,
            }
        case FromChunk():
            return {"chunk": str(source.path.absolute()), "dropped": sorted(source.dropped)}
        case _:
            return {"step": _step_told(source)}


def _raw_told(raw: Raw) -> list[Any]:
    value = [None, raw.value.reason] if isinstance(raw.value, Broken) else [raw.value]
    return [raw.number, raw.line, raw.n_chars, *value]


def _source_of(told: Told) -> Source:
    if "rows" in told:
        rows = [
            Raw(number, line, Broken(broken[0]) if broken else value, n_chars)
            for number, line, n_chars, value, *broken in told["rows"]
        ]
        return FromFile(told["file"], told["name"], Shape(told["shape"]), rows, told["is_strict"])
    if "chunk" in told:
        return FromChunk(Path(told["chunk"]), frozenset(told["dropped"]))
    step = _step_of(told["step"])
    assert isinstance(step, AddStep)  # noqa: S101  # no other step is a source
    return step


def _step_told(step: Step) -> list[Any]:
    """By name and options, as a recipe says it."""
    return [step.name, {field.name: getattr(step, field.name) for field in fields(step)}]  # type: ignore[arg-type]  # each is a dataclass


def _step_of(told: list[Any]) -> Step:
    """Raises: OptionWrong: a file that it reads is not on this machine."""
    name, options = told
    return STEPS[name](**options)


# --- Results ----------------------------------------------------------------------------------------------------------


def rendered_store(rendered: Rendered, path: Path) -> None:
    """Raises: OSError."""
    told = {
        field.name: list(value.items())
        if isinstance(value := getattr(rendered.written, field.name), Counter)
        else value
        for field in fields(Written)
    }
    path.write_text(json.dumps(told))


def result_of(task: Task | RenderTask) -> Result | Rendered | None:
    """None: it has not been done."""
    if isinstance(task, Task):
        return result_load(task.path)
    try:
        told = json.loads(counts_path(task.path).read_text())
    except FileNotFoundError:
        return None
    counts: dict[str, Any] = {
        name: Counter(dict(value)) if isinstance(value, list) else value for name, value in told.items()
    }
    return Rendered(task.path, Written(**counts))


def counts_path(path: Path) -> Path:
    """Where it stands what is in rendered rows."""
    return path.with_suffix(".counts")
