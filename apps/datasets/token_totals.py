"""How many tokens conversations have, by role and by their lengths. Pure, but for asking a tokenizer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

from apps.datasets.row_lines import line_value, record_of
from apps.datasets.run import CHUNK_CHARS, CHUNK_ROWS
from apps.datasets.tokens import counter_of

TOKEN_EDGES = (0, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072)
"""Of a conversation; as long as models' contexts are."""


@dataclass(slots=True)
class TokenTotals:
    """`lengths`: conversations by the edge of `TOKEN_EDGES` at or below their tokens. Of texts alone: what a template
    puts around them depends on the model."""

    n_conversations: int = 0
    n_tokens: int = 0
    longest: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, tokens: Iterable[tuple[str, int]]) -> None:
        """Roles and numbers of tokens of one conversation's messages."""
        n_tokens = 0
        for role, n in tokens:
            self.roles[role] += n
            n_tokens += n
        self.n_conversations += 1
        self.n_tokens += n_tokens
        self.longest = max(self.longest, n_tokens)
        self.lengths[max(edge for edge in TOKEN_EDGES if edge <= n_tokens)] += 1

    def join(self, other: "TokenTotals") -> None:
        self.n_conversations += other.n_conversations
        self.n_tokens += other.n_tokens
        self.longest = max(self.longest, other.longest)
        self.roles.update(other.roles)  # with those that have none
        self.lengths += other.lengths

    def as_dict(self) -> dict[str, Any]:
        """Of JSON, with counts in a fixed order."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return told | {
            "roles": dict(sorted(self.roles.items())),
            "lengths": {str(edge): self.lengths[edge] for edge in sorted(self.lengths)},
        }


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows of a set that are counted at one go. `tokenizer`: a model folder."""

    tokenizer: str
    lines: list[bytes]


def tokens_total(task: Lines) -> TokenTotals:
    """Raises: RecipeWrong: the folder has no tokenizer that can be read."""
    messages = [list(record_of(line_value(line)).all_messages()) for line in task.lines]
    counts = iter(counter_of(task.tokenizer).count([one.content for said in messages for one in said]))
    totals = TokenTotals()
    for said in messages:
        totals.add([(one.role, next(counts)) for one in said])
    return totals


def in_chunks(lines: Iterable[bytes], tokenizer: str) -> Iterator[Lines]:
    """As a run has them: so many rows or letters at a time."""
    rows, n_bytes = 0, 0

    def chunk_of(line: bytes) -> tuple[int, int]:
        nonlocal rows, n_bytes
        place = rows // CHUNK_ROWS, n_bytes // CHUNK_CHARS
        rows, n_bytes = rows + 1, n_bytes + len(line)
        return place

    for _, some in groupby(lines, key=chunk_of):
        yield Lines(tokenizer, list(some))
