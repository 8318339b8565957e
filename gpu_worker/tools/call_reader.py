"""One call object, `{"name": ..., "arguments": {...}}`, read while it is written. Pure.

It does not know markers or what comes around the object (`parser` does).
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from gpu_worker.tools.json_scan import ValueScan

HEAD = re.compile(r'\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
"""The usual beginning, up to the arguments; these can be passed on as they come."""


@dataclass(frozen=True, slots=True)
class CallBegins:
    """A call to a declared function; its arguments follow."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """The next fragment of the arguments of the call that began last, as the model wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """Text that is no call."""

    text: str


Piece = CallBegins | Arguments | Content


class Stage(StrEnum):
    """How much of the object is there."""

    HEAD = "head"
    ARGUMENTS = "arguments"
    TAIL = "tail"
    CALLED = "called"
    """The object has ended and was a call."""
    REFUSED = "refused"
    """It was none; `text` is all of it."""


class CallReader:
    """Feed it text from an object's opening brace on, until `is_done`; what it did not need is `rest`."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._scan = ValueScan()
        self._arguments_scan = ValueScan()
        self.stage = Stage.HEAD
        self.text = ""
        """What is held: the object as far as nothing of it has been passed on."""
        self.rest = ""

    @property
    def is_done(self) -> bool:
        return self.stage in (Stage.CALLED, Stage.REFUSED)

    def feed(self, text: str) -> list[Piece]:
        """What this piece of the object makes known."""
        end = self._scan.feed(text)
        self.rest = "" if end is None else text[end:]
        return self._take(text[:end], has_ended=end is not None)

    def _take(self, text: str, *, has_ended: bool) -> list[Piece]:
        if self.stage is Stage.HEAD:
            return self._head(text, has_ended=has_ended)
        if self.stage is Stage.ARGUMENTS:
            return self._arguments(text, has_ended=has_ended)
        self.text += text
        return self._end() if has_ended else []

    def _head(self, text: str, *, has_ended: bool) -> list[Piece]:
        self.text += text
        found = HEAD.match(self.text)
        name = None if found is None else _unquoted(found.group(1))
        if found is not None and name is not None and name in self._names:
            self.stage = Stage.ARGUMENTS
            arguments, self.text = self.text[found.end() :], ""
            return [CallBegins(name), *self._arguments(arguments, has_ended=has_ended)]
        return self._whole() if has_ended else []

    def _arguments(self, text: str, *, has_ended: bool) -> list[Piece]:
        end = self._arguments_scan.feed(text)
        if end is None:
            return [Arguments(text)]
        self.stage = Stage.TAIL
        return [Arguments(text[:end]), *self._take(text[end:], has_ended=has_ended)]

    def _end(self) -> list[Piece]:
        """What stands behind the arguments: other members of the object are dropped, anything else is shown."""
        self.stage = Stage.CALLED
        tail, self.text = self.text, ""
        return [] if _is_object('{"": 0' + tail) else [Content(tail)]

    def _whole(self) -> list[Piece]:
        """An object that did not begin as usual: its members may be in another order, or arguments missing."""
        call = _call_in(self.text)
        if call is None or call[0] not in self._names:
            self.stage = Stage.REFUSED
            return []
        self.stage, self.text = Stage.CALLED, ""
        return [CallBegins(call[0]), Arguments(call[1])]


def _unquoted(text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _call_in(text: str) -> tuple[str, str] | None:
    """Name and arguments of a complete call object; arguments may be missing, or be a text that holds an object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = value.get("name")
    arguments = value.get("arguments", value.get("parameters", {}))
    if not isinstance(name, str):
        return None
    if isinstance(arguments, dict):
        return name, json.dumps(arguments, ensure_ascii=False)
    if isinstance(arguments, str) and _is_object(arguments):
        return name, arguments
    return None
