"""What was taken from a conversation and what was put in, message by message. Pure.

Made for people to look at one row: time and memory are bounded, and a text that is too long is compared by its lines.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from apps.datasets.records import Message

_PARTS = re.compile(r"\w+|\s+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
CELLS_MAX = 4_000_000
"""Of a conversation, as 2,000 words with 2,000 others. What comes after is not compared word by word: that takes
time with the square of its length."""
LINES_MAX = 5_000
PAIRS_MAX = 40_000
"""Of messages. In longer conversations the first is compared with the first, and so on."""


class Kind(StrEnum):
    SAME = "same"
    TAKEN = "taken"
    PUT = "put"


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A message of the source beside that of the row; None where the other has none like it."""

    before: Message | None
    after: Message | None
    pieces: tuple[Piece, ...]

    @property
    def role(self) -> str:
        message = self.after or self.before
        return message.role if message else ""

    @property
    def is_same(self) -> bool:
        return all(piece.kind is Kind.SAME for piece in self.pieces) and None not in (self.before, self.after)


@dataclass(slots=True)
class Budget:
    """How much may still be compared word by word."""

    n_cells: int = CELLS_MAX

    def has(self, n_cells: int) -> bool:
        """Whether there is as much, which is taken then."""
        if n_cells > self.n_cells:
            return False
        self.n_cells -= n_cells
        return True


def conversations_compared(before: Sequence[Message], after: Sequence[Message]) -> list[Compared]:
    """In the order of both."""
    budget = Budget()
    return [_compared(one, other, budget) for one, other in _paired(before, after)]


def texts_compared(before: str, after: str, budget: Budget) -> Iterator[Piece]:
    """Pieces in order: those that are the same or taken are `before`, those that are the same or put are `after`."""
    old, new = _LINES.findall(before), _LINES.findall(after)
    if len(old) > LINES_MAX or len(new) > LINES_MAX:
        yield from _replaced(before, after)
        return
    for tag, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        if tag == "equal":
            yield Piece(Kind.SAME, gone)
        else:
            yield from _words_compared(gone, come, budget)


def _words_compared(before: str, after: str, budget: Budget) -> Iterator[Piece]:
    old, new = _PARTS.findall(before), _PARTS.findall(after)
    if not budget.has(len(old) * len(new)):
        yield from _replaced(before, after)
        return
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece(Kind.SAME, "".join(old[a:b]))
        else:
            yield from _replaced("".join(old[a:b]), "".join(new[c:d]))


def _replaced(before: str, after: str) -> Iterator[Piece]:
    if before:
        yield Piece(Kind.TAKEN, before)
    if after:
        yield Piece(Kind.PUT, after)


def _compared(before: Message | None, after: Message | None, budget: Budget) -> Compared:
    old, new = before.content if before else "", after.content if after else ""
    return Compared(before, after, tuple(texts_compared(old, new, budget)))


# --- Which message is which -------------------------------------------------------------------------------------------

Pair = tuple[Message | None, Message | None]


def _paired(before: Sequence[Message], after: Sequence[Message]) -> list[Pair]:
    """The alignment with the most words in common. Source: Needleman, Wunsch (1970), J. Mol. Biol. 48."""
    if len(before) * len(after) > PAIRS_MAX:
        n = max(len(before), len(after))
        return [(before[i] if i < len(before) else None, after[i] if i < len(after) else None) for i in range(n)]
    words = [set(_PARTS.findall(one.content)) for one in before], [set(_PARTS.findall(one.content)) for one in after]
    best = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i in reversed(range(len(before))):
        for j in reversed(range(len(after))):
            both = best[i + 1][j + 1] + _likeness(before[i], after[j], words[0][i], words[1][j])
            best[i][j] = max(both, best[i + 1][j], best[i][j + 1])
    return list(_walked(before, after, best))


def _walked(before: Sequence[Message], after: Sequence[Message], best: list[list[float]]) -> Iterator[Pair]:
    i = j = 0
    while i < len(before) or j < len(after):
        if j == len(after) or (i < len(before) and best[i][j] == best[i + 1][j]):
            yield before[i], None
            i += 1
        elif i == len(before) or best[i][j] == best[i][j + 1]:
            yield None, after[j]
            j += 1
        else:
            yield before[i], after[j]
            i, j = i + 1, j + 1


def _likeness(before: Message, after: Message, old: set[str], new: set[str]) -> float:
    """From 0 to 1; a little for the same role alone, so that a message that was written anew stands beside its own."""
    if before.role != after.role:
        return 0.0
    return 0.01 + 0.99 * len(old & new) / max(1, len(old | new))
