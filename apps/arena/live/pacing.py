"""The pacing rule: how much of two answers may be seen, so that speed does not tell which is whose. Pure: no clock.

1. Time goes in ticks. At every tick one frame goes out, with or without news, and it carries both sides.
2. Of both sides the same number of characters may be seen, while one of them is still being written: as many as both
   have. Whichever is faster waits for the other.
3. When both have ended, the rest of both is shown at the same pace.
4. A tick adds at most `CHARS_PER_TICK` characters to each side, and more only when more than two seconds of text wait,
   which is a property of both together.

So what is seen, and when, follows from the two texts and from one number that changes in time, the characters that both
have. It does not follow from how either of them came. What the texts themselves tell, also by their lengths, is seen.
"""

import math
from dataclasses import dataclass

TICK_S = 0.25
CHARS_PER_TICK = 64
"""256 characters a second, faster than anybody reads."""
CATCH_UP_TICKS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one answer has come: characters that are there, and whether more may follow."""

    n_chars: int
    has_ended: bool


class Pace:
    """`n_shown`: of both sides so many characters may be seen; of a shorter one, all."""

    def __init__(self, n_shown: int = 0) -> None:
        self.n_shown = n_shown
        self.is_done = False

    def advance(self, a: Progress, b: Progress) -> int:
        """A tick went by. Return `n_shown`; `is_done` when everything is seen and nothing will follow."""
        available = _available(a, b)
        waiting = max(0, available - self.n_shown)
        self.n_shown += min(waiting, max(CHARS_PER_TICK, math.ceil(waiting / CATCH_UP_TICKS)))
        self._look(a, b, available)
        return self.n_shown

    def jump(self, a: Progress, b: Progress) -> int:
        """As `advance`, to all that may be seen: for a page that comes back to what it has seen."""
        available = _available(a, b)
        self.n_shown = max(self.n_shown, available)
        self._look(a, b, available)
        return self.n_shown

    def _look(self, a: Progress, b: Progress, available: int) -> None:
        self.is_done = a.has_ended and b.has_ended and self.n_shown >= available


def _available(a: Progress, b: Progress) -> int:
    have_ended = a.has_ended and b.has_ended
    return max(a.n_chars, b.n_chars) if have_ended else min(a.n_chars, b.n_chars)
