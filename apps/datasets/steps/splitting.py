"""Long conversations in parts that a model can be trained on."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from apps.datasets.records import Message, Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.steps.choosing import family_of
from apps.datasets.tokens import counter_of, tokens_of_byte


@step
@dataclass(frozen=True)
class SplitLong(MapStep):
    """Split conversations of over `max_tokens` tokens between rounds, each part as long as it may be.

    `tokenizer`: a model folder with a tokenizer.json. `overhead`: tokens that each message has besides its text. Parts
    are named as FastChat names them, by the number of their first message. The system message stands before each part.
    A round that is too long alone stays whole and is counted, or is dropped with `drop_long`.
    """

    name = "split_long"
    tokenizer: str = ""
    max_tokens: int = 2048
    overhead: int = 6
    drop_long: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.overhead < 0:
            raise OptionWrong("max_tokens: at least 1; overhead: not negative")
        if not all(path.is_file() for path in self.files()):
            raise OptionWrong(f"tokenizer: {self.tokenizer!r} is no folder with a tokenizer.json")

    def files(self) -> tuple[Path, ...]:
        return (Path(self.tokenizer) / "tokenizer.json",)

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        if record.chosen is not None:
            return record  # a pair is judged whole
        if self._is_surely_short(record):
            return record  # to count takes longer than all else
        counts = counter_of(self.tokenizer).count([message.content for message in record.messages])
        lengths = [n_tokens + self.overhead for n_tokens in counts]
        if sum(lengths) <= self.max_tokens:
            return record
        head, rounds = rounds_of(record.messages)
        n_head = sum(lengths[:head])
        parts = packed([sum(lengths[a:b]) for a, b in rounds], self.max_tokens - n_head)
        made: list[Record] = []
        for first, last in parts:
            begin, end = rounds[first][0], rounds[last][1]
            if n_head + sum(lengths[begin:end]) > self.max_tokens:
                notes["round longer than the limit"] += 1
                if self.drop_long:
                    continue
            made.append(self._part(record, head, begin, end))
        if not made:
            return Dropped("every round is longer than the limit")
        notes["conversation split"] += len(parts) > 1
        notes["long round dropped"] += len(parts) - len(made)
        return made

    def _is_surely_short(self, record: Record) -> bool:
        if (most := tokens_of_byte(self.tokenizer)) is None:
            return False
        n_bytes = sum(len(message.content.encode("utf-8", "replace")) for message in record.messages)
        return n_bytes * most + self.overhead * len(record.messages) <= self.max_tokens

    def _part(self, record: Record, head: int, begin: int, end: int) -> Record:
        if (begin, end) == (head, len(record.messages)):
            return record
        messages = deepcopy(record.messages[:head]) + record.messages[begin:end]
        return replace(
            record,
            id=f"{record.id}_{begin - head}",
            messages=messages,
            steps=[*record.steps, self.name],
            fields=deepcopy(record.fields),
            family=family_of(record),
        )


def rounds_of(messages: list[Message]) -> tuple[int, list[tuple[int, int]]]:
    """How many system messages stand at the head, and where each question begins and its last answer ends."""
    head = next((n for n, message in enumerate(messages) if message.role != Role.SYSTEM), len(messages))
    begins = [n for n in range(head, len(messages)) if n == head or messages[n].role == Role.USER]
    return head, list(pairwise([*begins, len(messages)]))


def packed(lengths: list[int], room: int) -> list[tuple[int, int]]:
    """Neighbours together, as many as fit in `room`, from the first on: first and last of each part.

    Nothing is left out: what fits nowhere is a part of its own.
    """
    parts: list[tuple[int, int]] = []
    first, n_tokens = 0, 0
    for at, length in enumerate(lengths):
        if at > first and n_tokens + length > room:
            parts.append((first, at - 1))
            first, n_tokens = at, 0
        n_tokens += length
    if lengths:
        parts.append((first, len(lengths) - 1))
    return parts
