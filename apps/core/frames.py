"""Frames that pages send over a WebSocket, read field by field.

What chat and arena share; which frames there are is in the contract of each. Pure: no id is believed to belong to
anybody. Every refusal is a `BadFrame`, which says what is wrong without repeating what was sent.
"""

import json
from typing import Any
from uuid import UUID

from apps.core.errors import BadFrame
from apps.core.texts import clean_text

Frame = dict[str, Any]

FRAME_MAX_BYTES = 768 * 1024
"""The longest message fits, with the longest system prompt, even if JSON escapes every character in six bytes."""
REF_CHARS = 100
"""Of what a page calls a request, to know its answer by."""


def dumped(frame: Frame) -> str:
    """In ASCII, so that characters are bytes."""
    return json.dumps(frame, separators=(",", ":"))


def object_read(text: str | None) -> Frame:
    """A frame's fields. None: it came as bytes.

    Raises: BadFrame.
    """
    if text is None:
        raise BadFrame(reason="a binary frame")
    if len(text) > FRAME_MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > FRAME_MAX_BYTES:
        raise BadFrame(reason=f"a frame of more than {FRAME_MAX_BYTES // 1024} KiB")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadFrame(reason="a frame that is not JSON") from exc
    if not isinstance(values, dict):
        raise BadFrame(reason="a frame that is not an object")
    return values


def text_of(values: Frame, name: str, longest: int) -> str:
    """Cleaned. `longest`: in characters."""
    value = values.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise BadFrame(reason=f"{name} that is not a text of at most {longest} characters")
    return clean_text(value)


def uuid_of(values: Frame, name: str) -> UUID:
    return as_uuid(values.get(name), name)


def uuid_or_none(values: Frame, name: str) -> UUID | None:
    return None if values.get(name) is None else uuid_of(values, name)


def as_uuid(value: object, name: str) -> UUID:
    try:
        return UUID(value)  # type: ignore[arg-type]  # what is no text is refused below
    except (ValueError, TypeError, AttributeError) as exc:
        raise BadFrame(reason=f"{name} that is not an id") from exc
