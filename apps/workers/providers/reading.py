"""Values of somebody else's JSON as the types on which the rest of the site relies. Pure.

Null counts as missing. The words of an error name the place and hold nothing of the content.
"""

from typing import Any

Json = dict[str, Any]


class Misread(ValueError):
    """A value is not what the API's documentation says."""


def fields(value: object, place: str) -> Json:
    if not isinstance(value, dict):
        raise Misread(f"{place} is no object")
    return value


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
