"""Where a JSON value ends, in text that comes piece by piece. Pure.

It follows strings and brackets only; whether the value is valid JSON is for `json` to say.
"""


class ValueScan:
    """Finds the end of one object or list. Feed it from the opening bracket on."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def feed(self, text: str, start: int = 0) -> int | None:
        """The index in `text` behind the value's closing bracket; None while it is open."""
        for index in range(start, len(text)):
            if self._takes(text[index]):
                return index + 1
        return None

    def _takes(self, character: str) -> bool:
        """Whether this character closes the value."""
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth == 0
        return False
