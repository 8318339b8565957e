"""Texts in a chat's messages where the API's description has none: a model may read them all the same. Pure.

Our own workers ignore them. A provider gets messages as they came, and it is its template that decides what is read.
"""

import re
from collections.abc import Iterator
from typing import Any

from apps.openai_api.prompt_texts import calls_of, is_said, places, told_at
from apps.openai_api.shapes import Json

_NAMES_OF_WORDS = {"role", "type", "id", "tool_call_id", "call_id", "status", "detail", "format", "index"}
_WORD = re.compile(r"[A-Za-z0-9_.:-]{0,64}")
"""Under these names a word or an id is nothing that somebody says; a sentence is."""


def unknown_texts(body: Json) -> Iterator[str]:
    """Of each message, in one, what neither `places` nor `fixed` nor `images_in` tells of it."""
    for message in _dicts(body.get("messages")):
        if words := list(_unknown_words(message, _known(message))):
            yield "\n".join(words)


def audio_in(body: Json) -> str | None:
    """The path of the first part that is spoken; None if there is none."""
    for i, message in enumerate(body["messages"] if isinstance(body.get("messages"), list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for j, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and "input_audio" in part:
                return f"messages[{i}].content[{j}]"
    return None


def _unknown_words(message: Json, known: set[tuple[int, Any]]) -> Iterator[str]:
    waiting: list[Any] = [message]
    while waiting:
        container = waiting.pop()
        for name, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(name, str) and not _WORD.fullmatch(name):
                yield name
            if isinstance(value, dict | list):
                waiting.append(value)
            elif is_said(value) and (id(container), name) not in known:
                told = told_at((container, name))
                if name not in _NAMES_OF_WORDS or not _WORD.fullmatch(told):
                    yield told


def _known(message: Json) -> set[tuple[int, Any]]:
    """What others look at, by what it is in and under which name."""
    known = {(id(container), name) for container, name in places({"messages": [message]})}
    known |= {(id(call), name) for call in calls_of(message) for name in ("name", "arguments")}
    for part in _dicts(message.get("content")):
        known.add((id(part), "image_url"))
        known |= {(id(part.get(name)), field) for name, field in (("image_url", "url"), ("input_audio", "data"))}
    return known


def _dicts(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
