"""Which JSON schemas a grammar can enforce to the letter, and where a schema asks for more. Pure.

xgrammar ignores some keywords, alone or next to others, and only warns; an answer would then not fit its schema. So
what it would ignore is found here and refused by name. Annotations and unknown keywords are ignored, as JSON Schema
says. Source: xgrammar 0.2.8, observed keyword by keyword; JSON Schema 2020-12, "Validation".
"""

import json
import re
from collections.abc import Iterator, Mapping

MAX_DEPTH = 64

NEVER = {
    "not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems", "multipleOf",
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies",
    "unevaluatedItems", "unevaluatedProperties", "additionalItems", "$dynamicRef", "$recursiveRef",
}  # fmt: skip
"""Keywords that are not enforced at all, or only sometimes."""

STRING = {"minLength", "maxLength", "pattern", "format"}
NUMBER = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
ARRAY = {"items", "prefixItems", "minItems", "maxItems"}
OBJECT = {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
EXCLUSIVE = {"$ref", "anyOf", "oneOf", "allOf"}
"""Keywords next to which no other is enforced."""
ASSERTIONS = {"type", "enum", "const"} | STRING | NUMBER | ARRAY | OBJECT | EXCLUSIVE

TYPES: dict[str, set[str]] = {
    "string": STRING,
    "number": NUMBER,
    "integer": NUMBER,
    "array": ARRAY,
    "object": OBJECT,
    "boolean": set(),
    "null": set(),
}

UNSAFE_IN_PATTERN = re.compile(r'"|\\["\\nrtfv0c]|\\x(?:[01][0-9a-fA-F]|22|5[cC])|\\u00(?:[01][0-9a-fA-F]|22|5[cC])')
"""Characters that JSON writes otherwise inside of a string; the grammar would write them as they are."""


class NotEnforceable(Exception):
    """A place in a schema, and what about it cannot be enforced."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'the schema'}: {problem}")


def check_depth(value: object) -> None:
    """Raises: NotEnforceable, for nesting beyond what any real schema has. Without recursion."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise NotEnforceable("", f"it is nested more than {MAX_DEPTH} levels deep")


def check_enforceable(schema: Mapping[str, object]) -> None:
    """Raises: NotEnforceable at the first place where an answer could pass the grammar but not the schema.

    Call `check_depth` before.
    """
    for path, item in _subschemas(schema, ""):
        _check_keywords(item, path, schema)


def _children(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _subschemas(schema: object, path: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for key in ("properties", "$defs", "definitions"):
        children = schema.get(key)
        if isinstance(children, Mapping):
            for name, child in children.items():
                yield from _subschemas(child, _at(path, f"{key}.{name}"))
    for key in ("items", "additionalProperties"):
        yield from _subschemas(schema.get(key), _at(path, key))
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        children = schema.get(key)
        if isinstance(children, list):
            for index, child in enumerate(children):
                yield from _subschemas(child, _at(path, f"{key}[{index}]"))


def _at(path: str, step: str) -> str:
    return f"{path}.{step}"[:200] if path else step[:200]


def _check_keywords(schema: Mapping[str, object], path: str, root: Mapping[str, object]) -> None:
    keywords = schema.keys() & ASSERTIONS
    if ignored := sorted(schema.keys() & NEVER):
        raise NotEnforceable(path, f"{ignored[0]} is not supported")
    if alone := sorted(keywords & EXCLUSIVE):
        if len(keywords) > 1:
            others = ", ".join(sorted(keywords - {alone[0]}))
            raise NotEnforceable(path, f"{alone[0]} cannot be combined with {others}")
        _check_exclusive(alone[0], schema[alone[0]], path, root)
    elif keywords & {"enum", "const"}:
        _check_values(schema, keywords, path)
    else:
        _check_types(schema, keywords, path)


def _check_exclusive(keyword: str, value: object, path: str, root: Mapping[str, object]) -> None:
    if keyword == "$ref":
        if not isinstance(value, str) or not (value == "#" or value.startswith(("#/$defs/", "#/definitions/"))):
            raise NotEnforceable(path, "$ref must be # or begin with #/$defs/ or #/definitions/")
    elif not isinstance(value, list) or not value:
        raise NotEnforceable(path, f"{keyword} must be a list of schemas")
    elif keyword == "allOf" and len(value) > 1:
        raise NotEnforceable(path, "allOf of more than one schema is not supported; merge them")
    elif keyword == "oneOf" and not _are_disjoint([_resolved(item, root) for item in value]):
        raise NotEnforceable(path, "oneOf is supported only where no value can fit two of its schemas; use anyOf")


def _check_values(schema: Mapping[str, object], keywords: set[str], path: str) -> None:
    if extra := sorted(keywords - {"enum", "const", "type"}):
        raise NotEnforceable(path, f"{extra[0]} cannot be combined with enum or const")
    if {"enum", "const"} <= keywords:
        raise NotEnforceable(path, "give either enum or const")
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    if not isinstance(values, list) or not values:
        raise NotEnforceable(path, "enum must be a list of at least one value")
    types = _types(schema, path)
    for value in values if types else []:
        if not any(_has_type(value, name) for name in types):
            raise NotEnforceable(path, f"the value {json.dumps(value)[:80]} does not have the type that it names")


def _check_types(schema: Mapping[str, object], keywords: set[str], path: str) -> None:
    types = _types(schema, path)
    if not types:
        # Without a type, `properties` and `items` make it an object or an array; the others would do nothing.
        types = ["object"] if "properties" in keywords else ["array"] if keywords & {"items", "prefixItems"} else []
    allowed = {"type"}.union(*(TYPES[name] for name in types))
    if ignored := sorted(keywords - allowed):
        raise NotEnforceable(path, f"{ignored[0]} needs the type that it is about")
    if "string" in types:
        _check_string(schema, keywords, path)
    if "object" in types:
        _check_object(schema, path)


def _types(schema: Mapping[str, object], path: str) -> list[str]:
    if "type" not in schema:
        return []
    given = schema["type"]
    types = [
        name for name in (given if isinstance(given, list) else [given]) if isinstance(name, str) and name in TYPES
    ]
    if not types or (isinstance(given, list) and len(types) < len(given)):
        raise NotEnforceable(path, f"type must be of {', '.join(TYPES)}, found {json.dumps(given)[:80]}")
    return types


def _check_string(schema: Mapping[str, object], keywords: set[str], path: str) -> None:
    if len(keywords & {"pattern", "format"}) > 1 or (
        keywords & {"pattern", "format"} and keywords & {"minLength", "maxLength"}
    ):
        raise NotEnforceable(path, "pattern, format and a length cannot be combined")
    pattern = schema.get("pattern", "")
    if not isinstance(pattern, str):
        raise NotEnforceable(path, "pattern must be a text")
    if found := UNSAFE_IN_PATTERN.search(pattern):
        raise NotEnforceable(path, f"pattern may not name {found.group()!r}, which JSON escapes in a text")


def _check_object(schema: Mapping[str, object], path: str) -> None:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        raise NotEnforceable(path, "properties must be an object and required a list")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise NotEnforceable(path, f"required names {json.dumps(name)[:80]}, which is not in properties")


def _resolved(schema: object, root: Mapping[str, object]) -> object:
    """A branch that is only a reference, followed once or a few times."""
    for _ in range(8):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        target: object = root
        for step in str(schema["$ref"]).split("/")[1:]:
            target = target.get(step) if isinstance(target, Mapping) else None
        schema = target
    return schema


def _are_disjoint(branches: list[object]) -> bool:
    pairs = [(a, b) for index, a in enumerate(branches) for b in branches[:index]]
    return all(isinstance(a, Mapping) and isinstance(b, Mapping) and _cannot_meet(a, b) for a, b in pairs)


def _cannot_meet(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    """Different types, different constants, or a required property with different constants in both."""
    types = [_plain_types(item) for item in (a, b)]
    if types[0] and types[1] and not types[0] & types[1]:
        return True
    if _differ(a, b):
        return True
    tagged = [_required_properties(item) for item in (a, b)]
    return any(_differ(tagged[0][name], tagged[1][name]) for name in tagged[0].keys() & tagged[1].keys())


def _plain_types(schema: Mapping[str, object]) -> set[str]:
    given = schema.get("type")
    names = {str(name) for name in given} if isinstance(given, list) else {given} if isinstance(given, str) else set()
    return {"number" if name == "integer" else name for name in names}


def _differ(a: object, b: object) -> bool:
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return False
    values = [_constants(item) for item in (a, b)]
    return bool(values[0] and values[1] and not values[0] & values[1])


def _constants(schema: Mapping[str, object]) -> set[str]:
    if "const" in schema:
        return {json.dumps(schema["const"], sort_keys=True)}
    given = schema.get("enum")
    return {json.dumps(value, sort_keys=True) for value in given} if isinstance(given, list) else set()


def _required_properties(schema: Mapping[str, object]) -> dict[str, object]:
    properties, required = schema.get("properties"), schema.get("required")
    if _plain_types(schema) != {"object"} or not isinstance(properties, Mapping) or not isinstance(required, list):
        return {}
    return {name: properties[name] for name in required if isinstance(name, str) and name in properties}


def _has_type(value: object, name: str) -> bool:
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int() | float():
            return name == "number" or (name == "integer" and float(value).is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == "object"
