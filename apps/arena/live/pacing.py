"""The pacing rule: how much of two answers may be seen, so that speed does not tell which is whose. Pure: no clock.

1. Time goes in ticks. At every tick one frame goes out, with or without news, and it carries both sides.
2. Of both sides the same number of characters may be seen, while one of them is still being written: as many as both
   have. Whichever is faster waits for the other.
3. When both have ended, the rest of the longer one is shown at the same pace, but not before the slower of the two
   would have written it: a rest that came at once would tell that the quicker one wrote the longer answer. If either
   was stopped, no rest is shown.
4. A tick adds at most `CHARS_PER_TICK` characters to each side, and more only when more than two seconds of text wait,
   which is a property of both together.

So what is seen, and when, follows from the two texts and from the pace of the slower one, as far as both write evenly,
and not from which of them that was. What the texts themselves tell, also by their lengths, is seen.
"""

import math
from dataclasses import dataclass

TICK_S = 0.25
CHARS_PER_TICK = 64
"""256 characters a second, faster than anybody reads."""
CATCH_UP_TICKS = 8
LONGEST_WAIT_TICKS = 240
"""Nobody waits for more than a minute for a rest that is there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one answer has come: characters that are there, and whether more may follow."""

    n_chars: int
    has_ended: bool
    was_stopped: bool = False


class _Arrival:
    """When the characters of one side came, in ticks."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        self.ended_at: int | None = None

    def see(self, tick: int, side: Progress) -> None:
        if side.has_ended:
            self.ended_at = tick if self.ended_at is None else self.ended_at
        elif side.n_chars:
            self._last = tick, side.n_chars
            self._first = self._first or self._last

    def tick_of(self, n_chars: int) -> int:
        """When it would have so many, going on as it went. What came at once would come at once."""
        ended_at = self.ended_at or 0
        if self._first is None or self._last is None or self._first[1] == self._last[1]:
            return ended_at
        n_ticks, n_came = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return max(ended_at, self._first[0] + math.ceil((n_chars - self._first[1]) * n_ticks / n_came))


class Pace:
    """`n_shown`: of both sides so many characters may be seen; of a shorter one, all."""

    def __init__(self, n_shown: int = 0) -> None:
        self.n_shown = n_shown
        self.is_done = False
        self._tick = 0
        self._arrivals = _Arrival(), _Arrival()

    def advance(self, a: Progress, b: Progress) -> int:
        """A tick went by. Return `n_shown`; `is_done` when everything is seen and nothing will follow."""
        self._tick += 1
        self._see(a, b)
        available = self._available(a, b)
        waiting = max(0, available - self.n_shown)
        self.n_shown += min(waiting, max(CHARS_PER_TICK, math.ceil(waiting / CATCH_UP_TICKS)))
        self._look(a, b)
        return self.n_shown

    def jump(self, a: Progress, b: Progress) -> int:
        """As `advance`, to all that may be seen: for a page that comes back to what it has seen."""
        self._see(a, b)
        self.n_shown = max(self.n_shown, self._available(a, b))
        self._look(a, b)
        return self.n_shown

    def _see(self, *sides: Progress) -> None:
        for arrival, side in zip(self._arrivals, sides, strict=True):
            arrival.see(self._tick, side)

    def _look(self, a: Progress, b: Progress) -> None:
        self.is_done = a.has_ended and b.has_ended and self.n_shown >= _all_of(a, b)

    def _available(self, a: Progress, b: Progress) -> int:
        have_ended = a.has_ended and b.has_ended
        return _all_of(a, b) if have_ended and self._tick >= self._rest_at(a, b) else min(a.n_chars, b.n_chars)

    def _rest_at(self, a: Progress, b: Progress) -> int:
        ended_at = max(arrival.ended_at or 0 for arrival in self._arrivals)
        would_be = max(arrival.tick_of(max(a.n_chars, b.n_chars)) for arrival in self._arrivals)
        return min(would_be, ended_at + LONGEST_WAIT_TICKS)


def _all_of(a: Progress, b: Progress) -> int:
    was_stopped = a.was_stopped or b.was_stopped
    return min(a.n_chars, b.n_chars) if was_stopped else max(a.n_chars, b.n_chars)
