"""Which worker gets the next request. Pure: it reads no clock and no database, and randomness is passed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Method(StrEnum):
    """The two methods. Source: FastChat's controller, `DispatchMethod`."""

    SHORTEST_QUEUE = "shortest_queue"
    LOTTERY = "lottery"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live worker that holds the model. `queue` counts requests running and waiting."""

    worker_id: int
    queue: int
    speed: float
    is_cooling: bool = False


def choose(candidates: Sequence[Candidate], method: Method, random: Random) -> Candidate | None:
    """Pick one candidate, or None when there are none.

    Shortest queue takes the smallest queue/speed, and draws among equals so that an idle pool shares evenly.
    Lottery draws with odds proportional to speed. Workers that failed a moment ago are left out, unless all have:
    then any answer is better than none.
    """
    eligible = [c for c in candidates if not c.is_cooling] or list(candidates)
    if not eligible:
        return None
    match method:
        case Method.SHORTEST_QUEUE:
            shortest = min(c.queue / c.speed for c in eligible)
            return random.choice([c for c in eligible if c.queue / c.speed == shortest])
        case Method.LOTTERY:
            return random.choices(eligible, weights=[c.speed for c in eligible])[0]
