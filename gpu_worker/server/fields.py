"""Typed access to the fields of a JSON request body; a wrong type is a 400 that names the field.

It knows types, not meanings: ranges belong to `SamplingParams`.
"""

from collections.abc import Mapping

from gpu_worker.errors import invalid

LARGEST = 2**64
"""No parameter takes more, and a larger whole number does not fit a float."""


class Fields:
    """One JSON object. `path` is its place in the body, for error messages."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = values
        self._path = path

    def name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def get(self, key: str) -> object:
        return self._values.get(key)

    def number(self, key: str) -> float | None:
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(self.name(key), f"expected a number, found {kind(value)}")
        if abs(value) > LARGEST:
            raise invalid(self.name(key), f"{kind(value)} is too large")
        return value

    def integer(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self.name(key), f"expected a whole number, found {kind(value)}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid(self.name(key), f"expected true or false, found {kind(value)}")
        return value

    def text(self, key: str) -> str:
        """A text that must be there; it may be empty."""
        value = self._values.get(key)
        if not isinstance(value, str):
            raise invalid(self.name(key), f"expected a text, found {kind(value)}")
        return checked_text(value, self.name(key))


def checked_text(value: str, name: str) -> str:
    """Half of a UTF-16 pair is no character: no tokenizer and no database takes it."""
    if not value.isascii():
        try:
            value.encode()  # a pattern would search megabytes for a tenth of a second
        except UnicodeEncodeError as exc:
            raise invalid(name, "the text holds half of a surrogate pair, which is not a character") from exc
    return value


def kind(value: object) -> str:
    """A JSON type, in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {str(value)[:40]}"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
