"""Values of somebody else's JSON as the types on which the rest of the site relies. Pure.

Null counts as missing. The words of an error name the place and hold nothing of the content.
"""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

MAX_DEPTH = 100


class Misread(ValueError):
    """A value is not what the API's documentation says."""


def fields(value: object, place: str) -> Json:
    if not isinstance(value, dict):
        raise Misread(f"{place} is no object")
    return value


def shallow(value: object, place: str) -> None:
    """What is passed on as it is must be written again, wherever that is. Raises: Misread."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise Misread(f"{place} is nested too deep")


def _inside(value: object) -> Iterable[object]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
    return ()


def items(value: object, place: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misread(f"{place} is no list")
    return value


def text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise Misread(f"{place} is no text")
    return value


def text_or_none(value: object, place: str) -> str | None:
    return None if value is None else text(value, place)


def whole_number(value: object, place: str, *, missing: int) -> int:
    if value is None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Misread(f"{place} is no whole number")
    return value


def number_or_none(value: object, place: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misread(f"{place} is no number")
    return value
