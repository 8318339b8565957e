"""Which worker gets the next request. Pure: it reads no clock and no database, and randomness is passed in."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never

LOAD_BOUND = 1.25
"""How far above the pool's mean load a conversation may push its own worker before it goes elsewhere.

Source: Mirrokni, Thorup, Zadimoghaddam (2018), "Consistent Hashing with Bounded Loads", section 1: c = 1 + epsilon.
"""


class Method(StrEnum):
    """How a worker is chosen; the setting DISPATCH_METHOD names one. The first two are FastChat's."""

    SHORTEST_QUEUE = "shortest_queue"
    LOTTERY = "lottery"
    TWO_CHOICES = "two_choices"
    """The less loaded of two that are drawn. Source: Mitzenmacher (2001), "The power of two choices"."""
    PREFIX_AFFINITY = "prefix_affinity"
    """A conversation stays with the worker that has computed its beginning, unless that one has too much to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live worker that holds the model.

    `queue` counts requests running and waiting. `capacity` is the worker's speed times the weight that an admin gave
    it. `virtual_time` grows by 1/capacity with each request, so that the smallest one is furthest behind its share.
    """

    worker_id: int
    queue: int
    capacity: float
    is_cooling: bool = False
    n_faults: int = 0
    virtual_time: float = 0.0

    @property
    def load(self) -> float:
        return self.queue / self.capacity


def choose(candidates: Sequence[Candidate], method: Method, random: Random, *, key: str = "") -> Candidate | None:
    """Pick one candidate, or None when there are none.

    Workers that cool down are left out, unless all do: then the ones with the fewest faults are asked, because any
    answer is better than none. `key` names the beginning that requests share; without one, affinity has nothing to
    hold on to and the shortest queue decides.
    """
    eligible = _eligible(candidates)
    if not eligible:
        return None
    match method:
        case Method.SHORTEST_QUEUE:
            return _least_loaded(eligible, random)
        case Method.LOTTERY:
            return random.choices(eligible, weights=[c.capacity for c in eligible])[0]
        case Method.TWO_CHOICES:
            return _least_loaded(_two_of(eligible, random), random)
        case Method.PREFIX_AFFINITY:
            return _by_affinity(eligible, key) if key else _least_loaded(eligible, random)
        case _:
            assert_never(method)


def virtual_time_after(chosen: Candidate, candidates: Sequence[Candidate]) -> float:
    """The chosen one's virtual time with this request.

    A worker that was away does not get all of what it missed: it starts at most one request behind the others.
    Source: Waldspurger and Weihl (1995), "Stride Scheduling", section 3.
    """
    latest = max(c.virtual_time for c in candidates)
    longest_stride = max(1 / c.capacity for c in candidates)
    return max(chosen.virtual_time, latest - longest_stride) + 1 / chosen.capacity


def _eligible(candidates: Sequence[Candidate]) -> list[Candidate]:
    if warm := [c for c in candidates if not c.is_cooling]:
        return warm
    fewest = min((c.n_faults for c in candidates), default=0)
    return [c for c in candidates if c.n_faults == fewest]


def _least_loaded(candidates: Sequence[Candidate], random: Random) -> Candidate:
    """Among equals the one that is furthest behind its share: an idle pool is used in proportion to capacity."""
    best = min((c.load, c.virtual_time) for c in candidates)
    return random.choice([c for c in candidates if (c.load, c.virtual_time) == best])


def _two_of(candidates: Sequence[Candidate], random: Random) -> list[Candidate]:
    first = random.choices(candidates, weights=[c.capacity for c in candidates])[0]
    others = [c for c in candidates if c is not first]
    if not others:
        return [first]
    return [first, random.choices(others, weights=[c.capacity for c in others])[0]]


def _by_affinity(candidates: Sequence[Candidate], key: str) -> Candidate:
    """The first of this key's workers, in an order that changes little when workers come and go, that has room."""
    mean_load = (sum(c.queue for c in candidates) + 1) / sum(c.capacity for c in candidates)
    ranked = sorted(candidates, key=lambda c: _rendezvous_score(c, key), reverse=True)
    return next(c for c in ranked if c.queue < math.ceil(LOAD_BOUND * mean_load * c.capacity))


def _rendezvous_score(candidate: Candidate, key: str) -> float:
    """Weighted rendezvous hashing: the greatest score wins, in proportion to capacity over many keys.

    Source: Schindelhauer and Schomaker (2005), "Weighted Distributed Hash Tables", the logarithmic method.
    """
    digest = hashlib.blake2b(f"{candidate.worker_id}\0{key}".encode(), digest_size=8).digest()
    draw = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -candidate.capacity / math.log(draw)
