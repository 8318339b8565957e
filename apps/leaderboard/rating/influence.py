"""What the board would be without one voter: whoever moves it most is worth a look."""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.errors import NotConnected
from apps.leaderboard.rating.battles import Battles, FloatArray
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.intervals import inverse, voter_numbers, voter_scores

_VOTERS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Influence:
    """Of one voter: `shift` is what the strengths lose or gain when the voter's battles are left out, in logits, [M].

    None when the board cannot be made without this voter: then everything depends on one person.
    """

    voter: int
    n_battles: int
    shift: FloatArray | None

    @property
    def largest(self) -> float:
        return float("inf") if self.shift is None else float(np.abs(self.shift).max())


def leave_one_voter_out(battles: Battles, found: Fit, *, top: int = 10) -> list[Influence]:
    """The `top` most influential voters, the first one first, each by a fit without them.

    Whom to fit for is found by one Newton step for everybody (the infinitesimal jackknife), which costs one product.
    """
    steps = _one_step(battles, found)
    candidates = np.argsort(-steps, kind="stable")[:top]
    numbers = voter_numbers(battles)
    counts = np.bincount(numbers)
    first_rows = np.searchsorted(numbers, candidates)
    influences = [
        Influence(int(battles.voter[row]), int(counts[candidate]), _shift(battles, found, int(battles.voter[row])))
        for candidate, row in zip(candidates, first_rows, strict=True)
    ]
    return sorted(influences, key=lambda influence: -influence.largest)


def _one_step(battles: Battles, found: Fit) -> FloatArray:
    """Largest change of a strength by each voter, roughly, shape [voters]."""
    bread = inverse(battles.cells(), found)
    numbers = voter_numbers(battles)
    n_voters = int(numbers[-1]) + 1
    largest = np.empty(n_voters)
    for low in range(0, n_voters, _VOTERS_AT_ONCE):
        high = min(low + _VOTERS_AT_ONCE, n_voters)
        moved = voter_scores(battles, numbers, found, low, high) @ bread
        largest[low:high] = np.abs(moved[:, : found.layout.n_models]).max(1)
    return largest


def _shift(battles: Battles, found: Fit, voter: int) -> FloatArray | None:
    layout = found.layout
    try:
        without = fit(
            battles.without_voter(voter).cells(),
            layout.n_models,
            tie_model=layout.tie_model,
            has_side=layout.has_side,
            start=found.parameters,
        )
    except NotConnected:
        return None
    return without.strengths - found.strengths
