"""The fields that say what an answer must look like, checked: `response_format` and vLLM's `guided_*`.

Source: OpenAI API reference, "Structured model outputs"; vLLM, "Structured outputs". It compiles nothing.
"""

import json
import re
from collections.abc import Mapping

from gpu_worker.engine.constraint import Constraint, ConstraintKind
from gpu_worker.engine.schemas import NotEnforceable, check_depth, check_enforceable
from gpu_worker.errors import invalid, unsupported
from gpu_worker.server.fields import Fields, checked_text, kind

MAX_CHARACTERS = 128 * 1024
MAX_CHOICES = 1000
NAME = re.compile("[a-zA-Z0-9_-]{1,64}")

ANY_OBJECT = '{"type": "object"}'


def parse_constraint(fields: Fields) -> Constraint | None:
    """Raises: WorkerError that names the field; also when two fields ask for different things."""
    found = [
        constraint
        for constraint in (
            _response_format(fields),
            _guided_json(fields),
            _guided_text(fields, "guided_regex", ConstraintKind.REGEX),
            _guided_choice(fields),
            _guided_text(fields, "guided_grammar", ConstraintKind.EBNF),
        )
        if constraint is not None
    ]
    if len(found) > 1:
        raise invalid(found[1].param, f"give either {found[0].param} or {found[1].param}")
    return found[0] if found else None


def parse_name(fields: Fields) -> str:
    """A name in OpenAI's alphabet."""
    name = fields.text("name")
    if not NAME.fullmatch(name):
        raise invalid(fields.name("name"), "expected 1 to 64 of a-z, A-Z, 0-9, underscores and dashes")
    return name


def schema_text(schema: Mapping[str, object], param: str, *, is_exact: bool) -> str:
    """A schema as text, of bounded size and depth. `is_exact`: all that it says can be enforced."""
    try:
        check_depth(schema)
        if is_exact:
            check_enforceable(schema)
    except NotEnforceable as exc:
        raise invalid(param, str(exc)) from exc
    return bounded_text(json.dumps(schema, ensure_ascii=False), param)


def bounded_text(text: str, param: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise invalid(param, f"at most {MAX_CHARACTERS} characters, found {len(text)}")
    return checked_text(text, param)


def _response_format(fields: Fields) -> Constraint | None:
    value = fields.get("response_format")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid("response_format", f"expected an object, found {kind(value)}")
    inner = Fields(value, "response_format")
    match inner.text("type"):
        case "text":
            return None
        case "json_object":
            return Constraint(ConstraintKind.JSON_SCHEMA, ANY_OBJECT, "response_format", allows_more=True)
        case "json_schema":
            return _json_schema(value.get("json_schema"))
        case other:
            raise unsupported(
                "response_format.type", f"expected text, json_object or json_schema, found {other[:40]!r}"
            )


def _json_schema(value: object) -> Constraint:
    path = "response_format.json_schema"
    if not isinstance(value, dict):
        raise invalid(path, f"expected an object with a name and a schema, found {kind(value)}")
    inner = Fields(value, path)
    parse_name(inner)
    schema = value.get("schema")
    if not isinstance(schema, dict):
        raise invalid(inner.name("schema"), f"expected an object, found {kind(schema)}")
    is_lenient = inner.get("strict") is not None and not inner.flag("strict")
    text = schema_text(schema, "response_format", is_exact=not is_lenient)
    return Constraint(ConstraintKind.JSON_SCHEMA, text, "response_format", allows_more=is_lenient)


def _guided_json(fields: Fields) -> Constraint | None:
    value = fields.get("guided_json")
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            raise invalid("guided_json", f"it is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise invalid("guided_json", f"expected a schema, found {kind(value)}")
    return Constraint(ConstraintKind.JSON_SCHEMA, schema_text(value, "guided_json", is_exact=True), "guided_json")


def _guided_text(fields: Fields, name: str, language: ConstraintKind) -> Constraint | None:
    if fields.get(name) is None:
        return None
    text = bounded_text(fields.text(name), name)
    if not text:
        raise invalid(name, "it is empty")
    return Constraint(language, text, name)


def _guided_choice(fields: Fields) -> Constraint | None:
    value = fields.get("guided_choice")
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHOICES:
        found = len(value) if isinstance(value, list) else kind(value)
        raise invalid("guided_choice", f"expected a list of 1 to {MAX_CHOICES} texts, found {found}")
    for choice in value:
        if not isinstance(choice, str) or not choice:
            raise invalid("guided_choice", f"expected texts that are not empty, found {kind(choice)}")
    elements = [{"type": "const_string", "value": choice} for choice in value]
    tag = {"type": "structural_tag", "format": {"type": "or", "elements": elements}}
    text = bounded_text(json.dumps(tag, ensure_ascii=False), "guided_choice")
    return Constraint(ConstraintKind.STRUCTURAL_TAG, text, "guided_choice")
