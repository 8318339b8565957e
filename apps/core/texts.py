"""Texts, JSON and YAML that come from elsewhere: what Postgres can keep, and what can be written again. Pure."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Drop NUL bytes, which Postgres cannot store, and replace lone surrogates, which UTF-8 cannot spell."""
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(lambda match: "" if match[0] == "\0" else "\N{REPLACEMENT CHARACTER}", text)


def clean_json(value: Any) -> Any:
    """Clean every text and name in a JSON value. Raises: RecursionError for one that is nested too deep."""
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {clean_text(name): clean_json(field) for name, field in value.items()}
        case list():
            return [clean_json(item) for item in value]
    return value


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can spell it: no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_texts(value: object) -> Iterator[str]:
    """Every text and name in a JSON value, however deep, in no order."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as fields:
                yield from fields
                waiting.extend(fields.values())
            case list() as items:
                waiting.extend(items)


def strict_json(raw: str | bytes, *, names_once: bool = False) -> Any:
    """Read JSON that can be written as JSON again: no NaN, and no number that becomes infinite.

    `names_once`: no object that has a name twice, of which one reader takes the first value and another the last.
    Raises: ValueError, RecursionError.
    """
    hook = _once if names_once else None
    return json.loads(raw, parse_constant=_no_json, parse_float=finite, object_pairs_hook=hook)


def finite(text: str) -> float:
    """A number of JSON. Raises: ValueError, for one that becomes infinite and could not be written again."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is beyond the range of numbers")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def yaml_read(raw: str | bytes) -> Any:
    """Read YAML of plain values. Aliases make one value of many places: walking through it may take for ever.

    Raises: yaml.YAMLError, also for a 30 February and the like, which the library fails at by itself; RecursionError.
    """
    try:
        return yaml.safe_load(raw)
    except (ValueError, LookupError, AttributeError) as exc:
        raise yaml.YAMLError(f"a value cannot be read: {exc}") from exc
