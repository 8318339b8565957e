"""What an answer must look like when it has to call a function: a structural tag for xgrammar. Pure.

Source: xgrammar 0.2.8, "Structural tag".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpu_worker.engine.constraint import Constraint, ConstraintKind
from gpu_worker.protocol import Json
from gpu_worker.tools.formats import ToolFormat

MAX_WHITESPACE = 16
"""Characters in a row between the parts of arguments. Without a bound, small models write line breaks for ever."""

NO_PARAMETERS: Json = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a model may call."""

    name: str
    parameters: Json
    """A JSON schema of an object."""
    is_strict: bool


def must_call(tool_format: ToolFormat, functions: Sequence[Function], *, is_single: bool) -> Constraint:
    """The answer is one call, or several, and nothing else."""
    calls: Json = {
        "type": "tags_with_separator",
        "tags": [_tag(tool_format, function, function.parameters) for function in functions],
        "separator": tool_format.separator,
        "at_least_one": True,
        "stop_after_first": is_single,
    }
    if tool_format.is_list:
        calls = _sequence(_text(f"{tool_format.opening}["), calls, _text("]"))
    return _constraint(calls)


def may_call(tool_format: ToolFormat, functions: Sequence[Function]) -> Constraint:
    """The answer is text, calls, or both; the arguments of strict functions follow their schemas."""
    any_object: Json = {"type": "object"}
    tags = [
        _tag(tool_format, function, function.parameters if function.is_strict else any_object) for function in functions
    ]
    if tool_format.is_bare:
        return _constraint({"type": "or", "elements": [_bare(tool_format, tags), _no_call(tool_format)]})
    if tool_format.is_list:
        tags = [{**tag, "begin": f"{tool_format.opening}[{tag['begin']}", "end": f"{tag['end']}]"} for tag in tags]
    return _constraint({"type": "triggered_tags", "triggers": [tool_format.opening], "tags": tags})


def _tag(tool_format: ToolFormat, function: Function, schema: Json) -> Json:
    before, after = ("", "") if tool_format.is_list or tool_format.is_bare else tool_format.markers
    begin = f'{{"name": {json.dumps(function.name)}, "{tool_format.arguments_key}": '
    return {
        "type": "tag",
        "begin": f"{before}\n{begin}" if before else begin,
        "content": {"type": "json_schema", "json_schema": schema, "max_whitespace_cnt": MAX_WHITESPACE},
        "end": f"}}\n{after}" if after else "}",
    }


def _bare(tool_format: ToolFormat, tags: list[Json]) -> Json:
    return {
        "type": "tags_with_separator",
        "tags": tags,
        "separator": tool_format.separator,
        "at_least_one": True,
        "stop_after_first": False,
    }


def _no_call(tool_format: ToolFormat) -> Json:
    """Text that cannot be taken for a call: it begins neither one nor the marker, and the marker is nowhere in it."""
    rest: Json = {"type": "any_text", "excludes": list(tool_format.markers)}
    return _sequence({"type": "regex", "pattern": r"[^{\s<]"}, rest)


def _text(value: str) -> Json:
    return {"type": "const_string", "value": value}


def _sequence(*elements: Json) -> Json:
    return {"type": "sequence", "elements": list(elements)}


def _constraint(body: Any) -> Constraint:
    text = json.dumps({"type": "structural_tag", "format": body}, ensure_ascii=False)
    return Constraint(ConstraintKind.STRUCTURAL_TAG, text, "tools", shows_markers=True)
