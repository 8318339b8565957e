"""The life of one supervised process as a state machine: pure, it starts nothing and reads no clock.

A process that was never ready is not started again: what keeps it from starting will not go away by itself, and the
person at the terminal should see why. One that was ready once is brought back for as long as the site runs.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
GOOD_RUN_S = 30.0


class State(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    CANNOT_START = "cannot start"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Life:
    """One moment of a process's life: `failures` counts ends since the last good run, `since_s` is when this began."""

    state: State = State.WAITING
    since_s: float = 0.0
    was_ready: bool = False
    failures: int = 0

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start: doubled with every failure, up to a limit."""
        if self.failures == 0:
            return 0.0
        return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(self.failures - 1, 16)))


def on_spawn(life: Life, now_s: float) -> Life:
    """The process was started."""
    return replace(life, state=State.STARTING, since_s=now_s)


def on_ready(life: Life, now_s: float) -> Life:
    """The process answers for the first time since its start."""
    return replace(life, state=State.READY, since_s=now_s, was_ready=True)


def on_end(life: Life, now_s: float) -> Life:
    """The process ended by itself, or was ended because it did not become ready in time."""
    if not life.was_ready:
        return replace(life, state=State.CANNOT_START, since_s=now_s)
    ran_well = life.state is State.READY and now_s - life.since_s >= GOOD_RUN_S
    return replace(life, state=State.BACKING_OFF, since_s=now_s, failures=1 if ran_well else life.failures + 1)


def on_stop(life: Life, now_s: float) -> Life:
    """We stopped it, or will not start it any more."""
    return replace(life, state=State.STOPPED, since_s=now_s)
