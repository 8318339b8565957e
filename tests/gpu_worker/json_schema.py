"""A small validator of JSON schemas, written from the specification: the judge of what grammars let through.

Source: JSON Schema 2020-12, "Validation". Only keywords that the worker accepts.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any


def is_valid(value: object, schema: Any, root: Mapping[str, Any] | None = None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    checks: dict[str, Callable[[Any], bool]] = {
        "$ref": lambda ref: is_valid(value, _target(ref, root), root),
        "anyOf": lambda items: any(is_valid(value, item, root) for item in items),
        "oneOf": lambda items: sum(is_valid(value, item, root) for item in items) == 1,
        "allOf": lambda items: all(is_valid(value, item, root) for item in items),
        "enum": lambda items: any(_same(value, item) for item in items),
        "const": lambda item: _same(value, item),
        "type": lambda names: any(_has_type(value, name) for name in ([names] if isinstance(names, str) else names)),
    }
    if not all(check(schema[keyword]) for keyword, check in checks.items() if keyword in schema):
        return False
    match value:
        case str():
            return _is_valid_text(value, schema)
        case bool() | None:
            return True
        case int() | float():
            return _is_valid_number(value, schema)
        case list():
            return _is_valid_list(value, schema, root)
        case dict():
            return _is_valid_object(value, schema, root)
    raise AssertionError(f"no JSON: {value!r}")


def _target(ref: str, root: Mapping[str, Any]) -> Any:
    target: Any = root
    for step in ref.split("/")[1:]:
        target = target[step]
    return target


def _same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _has_type(value: object, name: str) -> bool:
    types: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "boolean": (bool,),
        "null": (type(None),),
        "array": (list,),
        "object": (dict,),
        "number": (int, float),
        "integer": (int,),
    }
    return isinstance(value, types[name]) and (isinstance(value, bool) == (name == "boolean"))


FORMATS = {
    "date": r"\d{4}-\d{2}-\d{2}",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ipv4": r"(\d{1,3}\.){3}\d{1,3}",
}


def _is_valid_text(value: str, schema: Mapping[str, Any]) -> bool:
    return (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        and re.search(schema.get("pattern", ""), value) is not None
        and ("format" not in schema or re.fullmatch(FORMATS[schema["format"]], value) is not None)
    )


def _is_valid_number(value: float, schema: Mapping[str, Any]) -> bool:
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"])
        and not ("exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"])
    )


def _is_valid_list(value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    first = schema.get("prefixItems", [])
    return (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        and all(is_valid(item, part, root) for item, part in zip(value, first, strict=False))
        and all(is_valid(item, schema.get("items", True), root) for item in value[len(first) :])
    )


def _is_valid_object(value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    properties = schema.get("properties", {})
    other = schema.get("additionalProperties", True)
    return (
        all(name in value for name in schema.get("required", []))
        and schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value))
        and all(is_valid(item, properties.get(name, other), root) for name, item in value.items())
    )
