"""One conversation on its way through a recipe. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(slots=True)
class Message:
    """`role` is one of `Role`, or what stood in the source and is none of them. `extra`: tool calls and the like."""

    role: str
    content: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def has_calls(self) -> bool:
        """Of tools: such a message says something without a text too."""
        return bool(self.extra.get("tool_calls") or self.extra.get("function_call"))


@dataclass(slots=True)
class Record:
    """A conversation, where it came from, and what was done to it.

    `source`: number of the input file and of the record in it, both from 0. `chosen` and `rejected`: the two answers
    of a preference pair, whose prompt is `messages`. `fields`: whatever else the source said.
    """

    id: str
    messages: list[Message]
    model: str = ""
    source: tuple[int, int] = (0, 0)
    steps: list[str] = field(default_factory=list)
    """Those that changed it, in order."""
    fields: dict[str, Any] = field(default_factory=dict)
    chosen: list[Message] | None = None
    rejected: list[Message] | None = None
    family: str = ""
    """Of a part of a conversation that was split, `family_of` the whole."""

    def all_messages(self) -> Iterator[Message]:
        yield from self.messages
        yield from self.chosen or ()
        yield from self.rejected or ()

    def said_by(self, role: Role) -> Iterator[str]:
        return (message.content for message in self.all_messages() if message.role == role)

    @property
    def text(self) -> str:
        return "\n".join(message.content for message in self.all_messages())


def texts_in(value: object) -> Iterator[str]:
    """Of JSON, without the names of fields."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case list() as items:
                waiting += items
            case dict() as members:
                waiting += members.values()


def dumped(record: Record) -> bytes:
    """As one line between two steps; `loaded` reads it again."""
    return orjson.dumps(
        [
            record.id,
            _rows(record.messages),
            record.model,
            record.source,
            record.steps,
            record.fields,
            None if record.chosen is None else _rows(record.chosen),
            None if record.rejected is None else _rows(record.rejected),
            record.family,
        ]
    )


def loaded(line: bytes) -> Record:
    id_, messages, model, source, steps, fields, chosen, rejected, family = orjson.loads(line)
    return Record(
        id_,
        _messages(messages),
        model,
        tuple(source),
        steps,
        fields,
        None if chosen is None else _messages(chosen),
        None if rejected is None else _messages(rejected),
        family,
    )


def _rows(messages: list[Message]) -> list[list[Any]]:
    return [[message.role, message.content, message.extra] for message in messages]


def _messages(rows: list[list[Any]]) -> list[Message]:
    return [Message(role, content, extra) for role, content, extra in rows]
