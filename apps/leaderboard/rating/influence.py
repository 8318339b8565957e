"""What the board would be without one voter: whoever moves it most is worth a look."""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.errors import RatingRefused
from apps.leaderboard.rating.battles import Battles, ByVoter, FloatArray, IntArray, Outcome
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.intervals import inverse, voter_scores

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
    Where all wins or all losses of a model are one voter's, that step says nothing, and the voter is always fitted for.
    """
    votes = battles.by_voter()
    by_step = np.argsort(-_one_step(battles, votes, found), kind="stable")[:top]
    candidates = np.unique(np.concatenate((by_step, _sole_voters(votes, battles.n_models))))
    n_battles = np.bincount(votes.number, votes.cells.count)
    influences = [
        Influence(int(votes.voters[k]), int(n_battles[k]), _shift(battles, found, int(votes.voters[k])))
        for k in candidates
    ]
    return sorted(influences, key=lambda influence: (-influence.largest, influence.voter))[:top]


def _one_step(battles: Battles, votes: ByVoter, found: Fit) -> FloatArray:
    """Largest change of a strength by each voter, roughly, shape [voters]."""
    bread = inverse(battles.cells(), found)[:, : found.layout.n_models]
    scores = voter_scores(votes, found)
    n_voters = len(votes.voters)
    largest = np.empty(n_voters)
    for low in range(0, n_voters, _VOTERS_AT_ONCE):
        high = min(low + _VOTERS_AT_ONCE, n_voters)
        largest[low:high] = np.abs(scores[low:high] @ bread).max(1)
    return largest


def _sole_voters(votes: ByVoter, n_models: int) -> IntArray:
    """Those who cast all votes that a model won, or all that it lost, a tie being half of each."""
    cells = votes.cells
    sole = []
    for of_first, of_second in ((Outcome.FIRST, Outcome.SECOND), (Outcome.SECOND, Outcome.FIRST)):
        rows = [
            (column[cells.outcome != other], votes.number[cells.outcome != other])
            for column, other in ((cells.first, of_second), (cells.second, of_first))
        ]
        pairs = np.unique(np.concatenate([model * len(votes.voters) + voter for model, voter in rows]))
        model, voter = np.divmod(pairs, len(votes.voters))
        sole.append(voter[np.bincount(model, minlength=n_models)[model] == 1])
    return np.unique(np.concatenate(sole))


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
    except RatingRefused:
        return None
    return without.strengths - found.strengths
