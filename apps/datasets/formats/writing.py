"""The shapes in which sets come out, and what is counted while they do. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from apps.datasets.records import Message, Record, Role

LENGTH_EDGES = (0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
"""In characters of a conversation."""
TURN_EDGES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100)
"""In questions of a conversation."""


class Form(StrEnum):
    """`MESSAGES`: {"id", "messages": [{"role", "content"}], ...}, one a line. `SHAREGPT`: as FastChat trains on.
    `ALPACA`: the last question and its answer, and pairs of those before. `COMPLETION`: the last answer, and messages
    before it, as TRL takes both.

    A set has the same fields in each row, of the same types: what reads it as a table wants that.
    """

    MESSAGES = "messages"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    COMPLETION = "completion"


def misfit(record: Record, form: Form) -> str | None:
    """Why it cannot be written so; None: it can."""
    if form in (Form.MESSAGES, Form.SHAREGPT):
        return None
    if record.chosen is not None:
        return "a pair of answers"
    messages = record.messages
    if not messages or messages[-1].role != Role.ASSISTANT:
        return "no answer at the end"
    if form is Form.ALPACA:
        if any(message.extra for message in messages):
            return "a message with more than a text"
        turns = messages[messages[0].role == Role.SYSTEM :]
        if [turn.role for turn in turns] != [Role.USER, Role.ASSISTANT] * (len(turns) // 2):
            return "not questions and answers alone"
    return None


_SPEAKERS: dict[str, str] = {Role.USER: "human", Role.ASSISTANT: "gpt"}


def rendered(record: Record, form: Form, names: tuple[str, ...]) -> bytes:
    """A line. "source" names the file, the record in it, and the steps that changed it.

    What the record has besides under a name that the line uses is written as "original_" and that name.
    """
    file, number = record.source
    source = {"file": names[file] if file >= 0 else None, "record": number, "steps": record.steps}
    row: dict[str, Any] = {"id": record.id}
    if record.model:
        row["model"] = record.model
    row |= _conversation(record, form)
    row = _with_others(row, record.fields, taken={*row, "source"})
    return orjson.dumps(row | {"source": source}, option=orjson.OPT_APPEND_NEWLINE)


def _with_others(row: dict[str, Any], others: dict[str, Any], *, taken: Collection[str]) -> dict[str, Any]:
    """Of two that come to the same name, as when what came out goes in again, the second is "original_original_"."""
    full = dict(row)
    free = {name: value for name, value in others.items() if name not in taken}
    full |= free
    for name, value in others.items():
        if name not in free:
            while name in full or name in taken:
                name = f"original_{name}"  # noqa: PLW2901  # until it is free
            full[name] = value
    return full


def _conversation(record: Record, form: Form) -> dict[str, Any]:
    if form is Form.ALPACA:
        return _alpaca(record.messages)
    if form is Form.COMPLETION:
        return {"prompt": _turns(record.messages[:-1]), "completion": _turns(record.messages[-1:])}
    if form is Form.SHAREGPT:
        turns = record.messages
        said: dict[str, Any] = {}
        if turns and turns[0].role == Role.SYSTEM and not turns[0].extra:
            said, turns = {"system": turns[0].content}, turns[1:]
        said["conversations"] = [
            _turn({"from": _SPEAKERS.get(turn.role, turn.role), "value": turn.content}, turn) for turn in turns
        ]
        if record.chosen is not None and record.rejected is not None:
            said |= {"chosen": _turns(record.chosen), "rejected": _turns(record.rejected)}
        return said
    if record.chosen is not None and record.rejected is not None:
        prompt = _turns(record.messages)
        return {"prompt": prompt, "chosen": _turns(record.chosen), "rejected": _turns(record.rejected)}
    return {"messages": _turns(record.messages)}


def _alpaca(messages: list[Message]) -> dict[str, Any]:
    system, said = "", [message.content for message in messages]
    if messages[0].role == Role.SYSTEM:
        system, *said = said
    *before, question, answer = said
    history = [list(pair) for pair in zip(before[::2], before[1::2], strict=True)]
    return {"system": system, "instruction": question, "input": "", "output": answer, "history": history}


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    return [_turn({"role": message.role, "content": message.content}, message) for message in messages]


def _turn(said: dict[str, Any], message: Message) -> dict[str, Any]:
    return _with_others(said, message.extra, taken=said)


@dataclass(slots=True)
class Written:
    """What a set has in it. `lengths`: conversations by the edge of `LENGTH_EDGES` at or below their characters.
    `turns`: by that of `TURN_EDGES` at or below their questions."""

    n_conversations: int = 0
    n_messages: int = 0
    n_chars: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        n_chars = sum(len(message.content) for message in record.all_messages())
        self.n_conversations += 1
        self.n_messages += sum(1 for _ in record.all_messages())
        self.n_chars += n_chars
        self.lengths[max(edge for edge in LENGTH_EDGES if edge <= n_chars)] += 1
        n_turns = sum(message.role == Role.USER for message in record.messages)
        self.turns[max(edge for edge in TURN_EDGES if edge <= n_turns)] += 1
        if isinstance(language := record.fields.get("language"), str):
            self.languages[language] += 1
        if record.model:
            self.models[record.model] += 1

    def join(self, other: "Written") -> None:
        self.n_conversations += other.n_conversations
        self.n_messages += other.n_messages
        self.n_chars += other.n_chars
        self.lengths += other.lengths
        self.turns += other.turns
        self.languages += other.languages
        self.models += other.models

    def as_dict(self) -> dict[str, Any]:
        """Of JSON, with counts in a fixed order."""
        return {
            "n_conversations": self.n_conversations,
            "n_messages": self.n_messages,
            "n_chars": self.n_chars,
            "lengths": {str(edge): self.lengths[edge] for edge in sorted(self.lengths)},
            "turns": {str(edge): self.turns[edge] for edge in sorted(self.turns)},
            "languages": dict(sorted(self.languages.items())),
            "models": dict(sorted(self.models.items())),
        }
