"""A recipe: a YAML file that lists what is done to conversations, and which sets come out. Pure but for reading it.

    name: tidy
    parameters: {tokenizer: null}        # null: must be given with --set tokenizer=DIR
    steps:
      - trim_turns
      - split_long: {tokenizer: $tokenizer, max_tokens: 2048}
    outputs:
      train: {steps: [{part: {keep: train}}]}
      test: {steps: [{part: {keep: test}}]}
      short: {from: train, steps: [single_round]}

Without `outputs` there is one, named as the recipe. A word that is not known is refused with the nearest that is.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from apps.core.texts import yaml_read
from apps.datasets.errors import RecipeWrong
from apps.datasets.steps.all import STEPS
from apps.datasets.steps.base import OptionWrong, Step

RECIPE_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Output:
    """A set that comes out: the rows of `parent` (None: of the common steps), and what is done to them besides."""

    name: str
    parent: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    """Each after its parent."""
    hash: str
    """Of all that it says, with its parameters filled in."""
    told: dict[str, Any]
    """That itself: `steps` and `outputs`, of JSON."""

    def files(self) -> list[Path]:
        """What its steps read besides the records."""
        steps = [*self.steps, *(one for output in self.outputs for one in output.steps)]
        return sorted({path for one in steps for path in one.files()})


def recipe_read(path: Path, given: Mapping[str, str] | None = None) -> Recipe:
    """Raises: RecipeWrong."""
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise RecipeWrong(reason=f"{path}: {exc.strerror or exc}") from exc
    if len(raw) > RECIPE_MAX_BYTES:
        raise RecipeWrong(reason=f"{path} is no recipe: it has over {RECIPE_MAX_BYTES} bytes")
    try:
        return recipe_parse(yaml_read(raw), given or {}, default_name=path.stem)
    except (yaml.YAMLError, RecursionError) as exc:
        raise RecipeWrong(reason=f"{path} is not YAML: {' '.join(str(exc).split())[:300]}") from exc


def recipe_parse(value: object, given: Mapping[str, str], *, default_name: str) -> Recipe:
    """Raises: RecipeWrong."""
    said = _mapping(value, "the recipe")
    _known(said, ("name", "description", "parameters", "steps", "outputs"), "the recipe")
    filled = _filled(said, _parameters(said, given))
    steps = _steps(filled.get("steps", []), "steps")
    name = str(filled.get("name") or default_name)
    outputs = _outputs(filled.get("outputs"), name)
    told = {"steps": filled.get("steps"), "outputs": filled.get("outputs")}
    plain = json.dumps(told, sort_keys=True, default=str)
    return Recipe(name, steps, outputs, hashlib.sha256(plain.encode()).hexdigest(), json.loads(plain))


# --- Parameters -------------------------------------------------------------------------------------------------------


def _parameters(said: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    declared = _mapping(said.get("parameters") or {}, "parameters")
    _known(given, tuple(map(str, declared)), "--set")
    values = {str(name): value for name, value in declared.items()}
    values |= {name: _given(name, text) for name, text in given.items()}
    if missing := sorted(name for name, value in values.items() if value is None):
        raise RecipeWrong(reason=f"it needs --set {missing[0]}=VALUE")
    return values


def _given(name: str, text: str) -> Any:
    try:
        return yaml_read(text)
    except (yaml.YAMLError, RecursionError) as exc:
        raise RecipeWrong(reason=f"--set {name} is not YAML: {' '.join(str(exc).split())[:300]}") from exc


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    match value:
        case str() if value.startswith("$"):
            if value[1:] not in values:
                raise RecipeWrong(reason=f"{value} is not among its parameters{_nearest(value[1:], values)}")
            return values[value[1:]]
        case dict():
            return {name: _filled(field, values) for name, field in value.items()}
        case list():
            return [_filled(item, values) for item in value]
    return value


# --- Steps and outputs ------------------------------------------------------------------------------------------------


def _steps(value: object, where: str) -> tuple[Step, ...]:
    if not isinstance(value, list):
        raise RecipeWrong(reason=f"{where}: expected a list of steps, found {type(value).__name__}")
    return tuple(_step(item, f"{where}[{number}]") for number, item in enumerate(value))


def _step(value: object, where: str) -> Step:
    options: Mapping[Any, Any] = {}
    if isinstance(value, str):
        name = value
    elif isinstance(value, Mapping) and len(value) == 1:
        (name, given), *_ = value.items()
        options = _mapping(given or {}, f"{where}.{name}")
    else:
        raise RecipeWrong(reason=f"{where}: expected the name of a step, or one name with its options")
    kind = STEPS.get(str(name))
    if kind is None:
        raise RecipeWrong(reason=f"{where}: there is no step {str(name)!r}{_nearest(str(name), STEPS)}")
    _known(options, tuple(field.name for field in fields(kind)), f"{where}.{name}")  # type: ignore[arg-type]  # each is a dataclass
    hints = get_type_hints(kind)
    for option, said in options.items():
        if not _fits(said, hints[option]):
            raise RecipeWrong(reason=f"{where}.{name}.{option}: expected {_words(hints[option])}, found {said!r}")
    try:
        return kind(**options)
    except OptionWrong as exc:
        raise RecipeWrong(reason=f"{where}.{name}.{exc}") from exc


def _outputs(value: object, name: str) -> tuple[Output, ...]:
    if value is None:
        return (Output(_file_name(name), None, ()),)
    outputs: dict[str, Output] = {}
    for output, given in _mapping(value, "outputs").items():
        where = f"outputs.{output}"
        said = _mapping(given or {}, where)
        _known(said, ("from", "steps"), where)
        parent = said.get("from")
        if parent is not None and parent not in outputs:
            nearest = _nearest(str(parent), outputs)
            raise RecipeWrong(reason=f"{where}.from: {parent!r} is not an output above it{nearest}")
        outputs[output] = Output(_file_name(output), parent, _steps(said.get("steps") or [], f"{where}.steps"))
    if not outputs:
        raise RecipeWrong(reason="outputs: name at least one, or leave it out")
    return tuple(outputs.values())


def _file_name(name: object) -> str:
    text = str(name)
    if not text or not text.replace("-", "").replace("_", "").isalnum() or len(text) > 100:
        raise RecipeWrong(reason=f"outputs: {text[:60]!r} cannot be the name of a file; use letters, digits, - and _")
    return text


# --- What a value may be ----------------------------------------------------------------------------------------------


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return isinstance(value, list) and all(_fits(one, item) for one in value)
    if get_origin(kind) is dict:
        of_name, of_value = get_args(kind)
        return isinstance(value, dict) and all(_fits(n, of_name) and _fits(v, of_value) for n, v in value.items())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if get_origin(kind) is list:
        return "a list, each of it " + _words(get_args(kind)[0])
    if get_origin(kind) is dict:
        return "a table of texts"
    return names[kind]


def _mapping(value: object, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise RecipeWrong(reason=f"{where}: expected a table of names and values, found {type(value).__name__}")
    return value


def _known(value: Mapping[Any, Any], names: Sequence[str], where: str) -> None:
    for name in value:
        if name not in names:
            raise RecipeWrong(reason=f"{where}: there is no {str(name)!r}{_nearest(str(name), names)}")


def _nearest(name: str, names: Any) -> str:
    close = get_close_matches(name, list(map(str, names)), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
