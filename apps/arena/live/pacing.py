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

When the rest may be seen follows from what is stored of both answers, so it is the same for a page that watched, one
that was reloaded, and a program.
"""

import math
from dataclasses import dataclass

TICK_S = 0.25
CHARS_PER_TICK = 64
"""256 characters a second, faster than anybody reads."""
CATCH_UP_TICKS = 8
LONGEST_WAIT_S = 60.0
"""Nobody waits for more than a minute for a rest that is there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one answer has come: characters that may be seen of it alone, and whether more may follow."""

    n_chars: int
    has_ended: bool
    was_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that has ended; its times in seconds by one clock."""

    began_s: float
    """When its first character came."""
    ended_s: float
    n_chars: int
    """To be seen."""
    n_written: int
    """With what is not shown."""
    was_stopped: bool = False

    def would_have_s(self, n_chars: int) -> float:
        """When it would have had so many to be seen, going on as it went. What came at once would come at once."""
        if self.n_written == 0:
            return self.ended_s
        took_s = max(0.0, self.ended_s - self.began_s)
        return self.ended_s + (n_chars - self.n_chars) * took_s / self.n_written


def rest_at_s(a: Written, b: Written) -> float:
    """From when on the rest of the longer one may be seen; without a rest, when both have ended."""
    ended_s = max(a.ended_s, b.ended_s)
    if a.was_stopped or b.was_stopped:
        return ended_s
    longest = max(a.n_chars, b.n_chars)
    would_have_s = max(side.would_have_s(longest) for side in (a, b))
    # To the millisecond, as times are stored: who is the slower one must not be seen in the last digit.
    return round(min(max(ended_s, would_have_s), ended_s + LONGEST_WAIT_S), 3)


def whole_at_s(a: Written, b: Written) -> float:
    """From when on all of both may be seen."""
    n_ticks, n_left = 0, _rest_of(a, b)
    while n_left:
        n_left -= _step(n_left)
        n_ticks += 1
    return rest_at_s(a, b) + max(0, n_ticks - 1) * TICK_S


def rest_seen(a: Written, b: Written, now_s: float) -> int | None:
    """How many characters of the rest a page has seen by now that watched all the time; None before it may be seen."""
    passed_s = now_s - rest_at_s(a, b)
    if passed_s < 0:
        return None
    whole = left = _rest_of(a, b)
    for _ in range(int(passed_s / TICK_S) + 1):
        if not left:
            break
        left -= _step(left)
    return whole - left


class Pace:
    """`n_shown`: of both sides so many characters may be seen; of a shorter one, all."""

    def __init__(self, n_shown: int = 0) -> None:
        self.n_shown = n_shown
        self.is_done = False

    def advance(self, a: Progress, b: Progress, *, is_rest_due: bool) -> int:
        """A tick went by. Return `n_shown`; `is_done` when everything is seen and nothing will follow."""
        available = _all_of(a, b) if is_rest_due else _of_both(a, b)
        self.n_shown += _step(max(0, available - self.n_shown))
        self._look(a, b, is_rest_due)
        return self.n_shown

    def jump(self, a: Progress, b: Progress, *, rest: int | None) -> int:
        """As `advance`, to all that was seen: for a page that comes back. `rest`: as `rest_seen`."""
        self.n_shown = max(self.n_shown, min(_of_both(a, b) + (rest or 0), _all_of(a, b)))
        self._look(a, b, rest is not None)
        return self.n_shown

    def _look(self, a: Progress, b: Progress, is_rest_due: bool) -> None:
        self.is_done = is_rest_due and self.n_shown >= _all_of(a, b)


def _step(n_waiting: int) -> int:
    return min(n_waiting, max(CHARS_PER_TICK, math.ceil(n_waiting / CATCH_UP_TICKS)))


def _of_both(a: Progress, b: Progress) -> int:
    return min(a.n_chars, b.n_chars)


def _all_of(a: Progress, b: Progress) -> int:
    return _of_both(a, b) if a.was_stopped or b.was_stopped else max(a.n_chars, b.n_chars)


def _rest_of(a: Written, b: Written) -> int:
    return 0 if a.was_stopped or b.was_stopped else abs(a.n_chars - b.n_chars)
