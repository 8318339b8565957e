"""Messages and tools as the JSON that chat templates read, and all texts in it that people wrote. Pure."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpu_worker.prompts.message import ImagePart, Message
from gpu_worker.protocol import Json

MISTRAL_ID_CHARACTERS = 9
"""Mistral's templates refuse ids of any other length."""


def turns_of(messages: Sequence[Message], *, has_short_ids: bool, in_parts: bool = False) -> list[Json]:
    """`has_short_ids`: each id is replaced by one of nine letters that follows from it.

    `in_parts`: contents are lists of texts and images, as templates of models that see expect them.
    """
    name_of: Callable[[str], str] = _short if has_short_ids else str
    turns = [_turn(message, name_of) for message in messages]
    if in_parts:
        for turn, message in zip(turns, messages, strict=True):
            turn["content"] = [_part(part) for part in message.parts or (message.content,)]
    return turns


def _part(part: str | ImagePart) -> Json:
    """Source: transformers, "Multimodal chat templates"."""
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def texts_in(value: object) -> Iterator[str]:
    """All texts in a JSON value, keys of objects included, in a fixed order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def with_texts(value: Any, texts: Iterator[str]) -> Any:
    """The same value with other texts, given in the order of `texts_in`."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, dict):
        return {next(texts): with_texts(item, texts) for item in value.values()}
    if isinstance(value, list):
        return [with_texts(item, texts) for item in value]
    return value


def _turn(message: Message, name_of: Callable[[str], str]) -> Json:
    turn: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": name_of(call.id), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = name_of(message.tool_call_id)
    return turn


def _short(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:MISTRAL_ID_CHARACTERS]
