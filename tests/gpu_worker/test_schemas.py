"""Which JSON schemas are refused because a grammar would not enforce all of them."""

from typing import Any

import pytest

from gpu_worker.engine.schemas import MAX_DEPTH, NotEnforceable, check_depth, check_enforceable

TAGGED = {
    "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}],
    "$defs": {
        "cat": {"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"]},
        "dog": {"type": "object", "properties": {"kind": {"enum": ["dog", "hound"]}}, "required": ["kind"]},
    },
}

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"], "title": "T"},
    {"properties": {"a": True}, "additionalProperties": False},
    {"type": ["string", "null"], "minLength": 2},
    {"type": "string", "enum": ["a", "b"]},
    {"type": "integer", "enum": [1, 2.0]},
    {"const": None},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
    {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}], "description": "either"},
    {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "null"}}},
    {"type": "string", "pattern": r"^\w+@\w+\.com$"},
    {"type": "string", "pattern": r"^\u00e4\x41$"},
    {"type": "string", "format": "date", "x-mine": {"not": 3}, "examples": [1]},
    {"type": "object", "properties": {"not": {"type": "null"}, "$ref": {"type": "null"}}},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    TAGGED,
]


@pytest.mark.parametrize("schema", ACCEPTED, ids=str)
def test_a_schema_that_can_be_enforced_is_accepted(schema: dict[str, Any]) -> None:
    check_depth(schema)
    check_enforceable(schema)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"not": {"type": "string"}}, "not is not supported"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems is not supported"),
    ({"type": "object", "properties": {"a": {"multipleOf": 2}}}, r"properties.a: multipleOf"),
    ({"anyOf": [{"type": "string"}, {"if": {}}]}, r"anyOf\[1\]: if"),
    ({"$defs": {"a": {"type": "array", "items": {"contains": {}}}}}, r"\$defs.a.items: contains"),
    ({"type": "string", "anyOf": [{"maxLength": 2}]}, "anyOf cannot be combined with type"),
    ({"$ref": "#/$defs/a", "maxLength": 1, "$defs": {"a": {"type": "string"}}}, r"\$ref cannot be combined"),
    ({"allOf": [{"type": "string"}, {"maxLength": 2}]}, "merge them"),
    ({"$ref": "http://example.com/schema"}, r"\$ref must"),
    ({"$ref": "#foo"}, r"\$ref must"),
    ({"$ref": 3}, r"\$ref must"),
    ({"anyOf": []}, "anyOf must be a list"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf is supported only"),
    ({"oneOf": [{"type": "string"}, {}]}, "oneOf is supported only"),
    ({"enum": [1, "a"], "type": "string"}, "the value 1"),
    ({"enum": [True], "type": "integer"}, "the value true"),
    ({"enum": ["a"], "maxLength": 3}, "cannot be combined with enum"),
    ({"enum": []}, "at least one value"),
    ({"maxLength": 2}, "maxLength needs the type"),
    ({"type": "integer", "minLength": 2}, "minLength needs the type"),
    ({"required": ["a"]}, "required needs the type"),
    ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, 'required names "b"'),
    ({"type": "object", "required": [["a"]]}, r'required names \["a"\]'),
    ({"type": "string", "pattern": "a", "maxLength": 2}, "cannot be combined"),
    ({"type": "string", "pattern": '^"'}, "which JSON escapes"),
    ({"type": "string", "pattern": r"^\\$"}, "which JSON escapes"),
    ({"type": "string", "pattern": r"a\nb"}, "which JSON escapes"),
    ({"type": "string", "pattern": r"\u0022"}, "which JSON escapes"),
    ({"type": "string", "pattern": 3}, "pattern must be a text"),
    ({"type": "wizard"}, "type must be of"),
    ({"type": []}, "type must be of"),
    ({"type": ["string", 3]}, "type must be of"),
]


@pytest.mark.parametrize(("schema", "problem"), REFUSED, ids=str)
def test_what_a_grammar_would_ignore_is_refused_with_its_place(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(NotEnforceable, match=problem):
        check_enforceable(schema)


def test_nesting_beyond_the_bound_is_refused_without_recursion() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"items": schema}
    with pytest.raises(NotEnforceable, match=str(MAX_DEPTH)):
        check_depth(schema)
    while "items" in schema:  # taken apart by hand: the interpreter would free it by recursion
        schema = schema["items"]
