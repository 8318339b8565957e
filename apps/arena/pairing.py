"""Who meets whom. Pure: no Django, no clock, and chance comes from a generator that is passed in.

The first of a pair is drawn in proportion to weight and boost, its rival by weight alone among those whom it may meet;
which of the two stands on the left is drawn after that.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

TARGET_SHARE = 0.5
"""Of the battles that a contestant with targets begins, so many are with one of these."""

Pair = tuple[int, int]
"""Keys: who begins, and the rival."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant as far as pairing goes. Those in an outage are left out by whoever asks."""

    key: int
    weight: float = 1.0
    boost: float = 1.0
    targets: frozenset[int] = frozenset()
    has_strict_targets: bool = False
    is_anonymous_only: bool = False


class NobodyToMeet(ValueError):
    """No two of the entrants may meet."""


def shares(entrants: Iterable[Entrant], *, n_met: Mapping[frozenset[int], int] | None = None) -> dict[Pair, float]:
    """The probability of every pair that may meet; they add up to 1, or there is none. O(n²).

    `n_met`: how often two have met. With it, each pair's share is in proportion to what one more battle adds to what is
    known of the two as well, so battles go where least is known.
    """
    able = [entrant for entrant in entrants if entrant.weight > 0]
    of_pairs = {
        (first.key, key): first.weight * first.boost * share
        for first in able
        for key, share in _rivals(first, able).items()
    }
    if n_met is not None:
        of_pairs = {pair: share * gain(n_met.get(frozenset(pair), 0)) for pair, share in of_pairs.items()}
    total = math.fsum(of_pairs.values())
    return {pair: share / total for pair, share in of_pairs.items()}


def draw(
    entrants: Sequence[Entrant],
    random: Random,
    *,
    n_met: Mapping[frozenset[int], int] | None = None,
    keeping: int | None = None,
) -> Pair:
    """Draw who stands on the left and who on the right. `keeping`: one of them is this one, if anybody may meet it.

    Raises: NobodyToMeet.
    """
    of_pairs = shares(entrants, n_met=n_met)
    kept = {pair: share for pair, share in of_pairs.items() if keeping in pair}
    of_pairs = kept or of_pairs
    if not of_pairs:
        raise NobodyToMeet
    [pair] = random.choices(list(of_pairs), weights=list(of_pairs.values()))
    return sides(pair, random)


def sides(pair: Pair, random: Random) -> Pair:
    """Draw which of the two stands on the left."""
    return pair if random.random() < 0.5 else (pair[1], pair[0])


def gain(n_battles: int) -> float:
    """By how much one more battle of a pair shrinks the standard error of its win rate, in units of that of one battle.

    Source: Chiang et al. (2024), "Chatbot Arena", section 5, the sampling rule, with equal variances.
    """
    return 1 / math.sqrt(n_battles + 1) - 1 / math.sqrt(n_battles + 2)


def _rivals(first: Entrant, able: Sequence[Entrant]) -> dict[int, float]:
    """Whom it may meet, with shares that add up to 1."""
    rivals = [rival for rival in able if _may_meet(first, rival)]
    groups: defaultdict[bool, list[Entrant]] = defaultdict(list)
    for rival in rivals:
        groups[rival.key in first.targets].append(rival)
    of_group = {True: TARGET_SHARE, False: 1 - TARGET_SHARE} if len(groups) == 2 else {True: 1.0, False: 1.0}
    return {
        rival.key: of_group[is_target] * rival.weight / math.fsum(other.weight for other in group)
        for is_target, group in groups.items()
        for rival in group
    }


def _may_meet(one: Entrant, other: Entrant) -> bool:
    if one.key == other.key or (one.is_anonymous_only and other.is_anonymous_only):
        return False
    return not (
        (one.has_strict_targets and other.key not in one.targets)
        or (other.has_strict_targets and one.key not in other.targets)
    )
