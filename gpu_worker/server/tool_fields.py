"""The fields about tools, checked: `tools`, `tool_choice` and `parallel_tool_calls`.

Source: OpenAI API reference, "Create chat completion". It does not know how models write calls.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from gpu_worker.engine.schemas import NotEnforceable, check_depth
from gpu_worker.errors import invalid, unsupported
from gpu_worker.protocol import Json
from gpu_worker.server.fields import Fields, checked_text, kind
from gpu_worker.server.formats import parse_name, schema_text
from gpu_worker.tools.constraints import NO_PARAMETERS, Function

MAX_TOOLS = 128


class ToolChoice(StrEnum):
    """Whether the model may, or must, call a function."""

    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Tools that the model is told of, and what it may do with them."""

    tools: list[Json]
    """As templates read them: type, and function with name, description and parameters."""
    functions: list[Function]
    choice: ToolChoice
    callable: list[Function]
    """Those of `functions` that may be called: one of them, if the choice names it."""
    is_parallel: bool

    @property
    def is_single(self) -> bool:
        return not self.is_parallel


def parse_tools(fields: Fields) -> ToolUse | None:
    """None if there are no tools, or none may be called. Raises: WorkerError that names the field."""
    value = fields.get("tools")
    if value is not None and not isinstance(value, list):
        raise invalid("tools", f"expected a list, found {kind(value)}")
    if len(value or []) > MAX_TOOLS:
        raise invalid("tools", f"at most {MAX_TOOLS} tools, found {len(value or [])}")
    functions = [_function(item, f"tools[{index}]") for index, item in enumerate(value or [])]
    _refuse_twice([function.name for function in functions])
    is_parallel = fields.flag("parallel_tool_calls", True)
    choice = fields.get("tool_choice")
    if choice == "none" or (choice is None and not functions):
        return None
    if not functions:
        raise invalid("tool_choice", "there are no tools to choose from")
    called = functions if isinstance(choice, str) or choice is None else [_named(choice, functions)]
    return ToolUse(
        tools=[_told(item, function) for item, function in zip(value or [], functions, strict=True)],
        functions=functions,
        choice=_choice(choice),
        callable=called,
        is_parallel=is_parallel and called is functions,
    )


def _function(item: object, path: str) -> Function:
    tool = _object(item, path)
    if tool.text("type") != "function":
        raise unsupported(tool.name("type"), f"only functions are supported, found {str(tool.get('type'))[:40]!r}")
    inner = _object(tool.get("function"), tool.name("function"))
    if inner.get("description") is not None:
        inner.text("description")
    name, is_strict = parse_name(inner), inner.flag("strict")
    parameters = inner.get("parameters")
    if parameters is None:
        return Function(name, NO_PARAMETERS, is_strict)
    where = inner.name("parameters")
    if not isinstance(parameters, dict):
        raise invalid(where, f"expected a schema, found {kind(parameters)}")
    if parameters.get("type", "object") != "object":
        raise invalid(where, "expected the schema of an object")
    schema_text(parameters, where, is_exact=is_strict)
    is_open = parameters.keys().isdisjoint(("$ref", "anyOf", "oneOf", "allOf"))
    return Function(name, {"type": "object", **parameters} if is_open else parameters, is_strict)


def _object(value: object, path: str) -> Fields:
    if not isinstance(value, dict):
        raise invalid(path, f"expected an object, found {kind(value)}")
    return Fields(value, path)


def _refuse_twice(names: list[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise invalid(f"tools[{index}].function.name", f"there are two tools with the name {name!r}")


def _choice(value: object) -> ToolChoice:
    if value is None:
        return ToolChoice.AUTO
    if isinstance(value, dict):
        return ToolChoice.REQUIRED
    if value not in ("auto", "required"):
        raise invalid("tool_choice", f"expected none, auto, required or a function, found {str(value)[:40]!r}")
    return ToolChoice(str(value))


def _named(value: object, functions: list[Function]) -> Function:
    choice = _object(value, "tool_choice")
    if choice.text("type") != "function":
        raise unsupported("tool_choice.type", f"only function is supported, found {str(choice.get('type'))[:40]!r}")
    name = _object(choice.get("function"), "tool_choice.function").text("name")
    for function in functions:
        if function.name == name:
            return function
    raise invalid("tool_choice.function.name", f"there is no tool with the name {name[:64]!r}")


def _told(item: Json, function: Function) -> Json:
    """What the model reads of a tool. `strict` is for us."""
    told = {"name": function.name, "description": item["function"].get("description") or ""}
    told["parameters"] = item["function"].get("parameters") or {"type": "object", "properties": {}}
    return {"type": "function", "function": told}


def parse_call_arguments(value: object, path: str) -> Json:
    """The arguments of a call in an earlier turn: the text of a JSON object; an empty one means none."""
    if not isinstance(value, str):
        raise invalid(path, f"expected a text that holds a JSON object, found {kind(value)}")
    try:
        arguments = json.loads(checked_text(value, path)) if value.strip() else {}
        check_depth(arguments)
        checked_text(json.dumps(arguments, ensure_ascii=False), path)
    except (ValueError, RecursionError, NotEnforceable) as exc:
        raise invalid(path, f"expected a text that holds a JSON object: {exc}") from exc
    if not isinstance(arguments, dict):
        raise invalid(path, f"expected a JSON object, found {kind(arguments)}")
    return arguments
