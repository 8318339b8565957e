"""When a worker that fails is left alone for a while. Pure: it reads no clock.

Only faults of the worker itself are counted. A request that the worker refuses, a full queue, and a caller that leaves
say nothing about its health.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

WINDOW = timedelta(seconds=60)
"""Faults and answers are counted within a window of this length, then anew."""

SHARE_OF_FAULTS = 0.5
"""Of the requests of a window. A worker that answers more than it fails stays in."""


class Fault(StrEnum):
    """What may be a worker's own fault."""

    UNREACHABLE = "unreachable"
    """Nobody takes the connection."""
    LOST = "lost"
    """The connection was made and broke, or nothing came over it for too long."""
    INTERNAL = "internal"
    """The worker says that it failed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many faults of a kind in a window open the breaker, and for how long."""

    min_faults: int
    cooling: timedelta


RULES = {
    # A port that nobody listens on is no matter of chance.
    Fault.UNREACHABLE: Rule(min_faults=1, cooling=timedelta(seconds=10)),
    Fault.LOST: Rule(min_faults=3, cooling=timedelta(seconds=10)),
    Fault.INTERNAL: Rule(min_faults=5, cooling=timedelta(seconds=30)),
}


@dataclass(frozen=True, slots=True)
class Window:
    """What a worker did since a time."""

    since: datetime
    n_answers: int = 0
    faults: dict[Fault, int] = field(default_factory=dict)

    @property
    def n_faults(self) -> int:
        return sum(self.faults.values())

    def with_answer(self, now: datetime) -> "Window":
        current = self.at(now)
        return replace(current, n_answers=current.n_answers + 1)

    def with_fault(self, fault: Fault, now: datetime) -> "Window":
        current = self.at(now)
        return replace(current, faults=current.faults | {fault: current.faults.get(fault, 0) + 1})

    def at(self, now: datetime) -> "Window":
        """This window, or a new one if it is over."""
        return self if self.since <= now < self.since + WINDOW else Window(now)

    def cooling_after(self, fault: Fault) -> timedelta | None:
        """How long the worker is to be left alone after this fault, which is counted already; None: not at all."""
        rule, n = RULES[fault], self.faults.get(fault, 0)
        if n < rule.min_faults:
            return None
        is_definite = rule.min_faults == 1
        is_frequent = self.n_faults >= SHARE_OF_FAULTS * (self.n_faults + self.n_answers)
        return rule.cooling if is_definite or is_frequent else None
