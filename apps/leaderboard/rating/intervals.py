"""How sure the strengths are: the sandwich, plain or by voter; a seeded bootstrap as its check; ranks by intervals."""

from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from apps.leaderboard.errors import BootstrapLost, NotConnected, TiesWanted
from apps.leaderboard.rating.battles import Battles, Cells, FloatArray, IntArray
from apps.leaderboard.rating.fit import Fit, Layout, fit, information, pinned

_VOTERS_AT_ONCE = 4096


class Covariance(StrEnum):
    """What is believed about the votes."""

    MODEL = "model"
    """The model is true, and ties are half a win each with certainty: what textbooks print."""
    ROBUST = "robust"
    """Votes are independent; the model may be wrong."""
    CLUSTERED = "clustered"
    """Voters are independent; votes of one voter need not be."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """In logits, shape [M] each."""

    lower: FloatArray
    upper: FloatArray


def covariance(battles: Battles, cells: Cells, found: Fit, kind: Covariance) -> FloatArray:
    """Of all parameters, shape [P, P], for strengths with mean 0.

    Robust: A^-1 B A^-1, with A the information and B the sum of squared scores of battles, or of voters, times
    n / (n - 1). Source: White (1982), Econometrica 50(1), 1-25; Cameron and Miller (2015), JHR 50(2), 317-372.
    """
    bread = inverse(cells, found)
    match kind:
        case Covariance.MODEL:
            return bread
        case Covariance.ROBUST:
            meat, n = _meat(cells, found), float(cells.count.sum())
        case Covariance.CLUSTERED:
            meat, n = _meat_by_voter(battles, found)
    if n < 2:
        return np.full_like(bread, np.inf)
    return bread @ (meat * n / (n - 1)) @ bread


def inverse(cells: Cells, found: Fit) -> FloatArray:
    """Of the information, among strengths with mean 0."""
    m = found.layout.n_models
    at = found.layout.terms(cells, found.parameters)
    matrix = information(cells, found.layout, at, cells.total)
    inverted = np.linalg.inv(pinned(matrix, m))
    centre = np.eye(found.layout.size)
    centre[:m, :m] -= 1 / m
    return np.asarray(centre @ inverted @ centre.T)


def standard_errors(matrix: FloatArray, n_models: int) -> FloatArray:
    """Of the strengths, in logits, shape [M]."""
    return np.sqrt(np.maximum(np.diag(matrix)[:n_models], 0.0))


def intervals(found: Fit, matrix: FloatArray, confidence: float) -> Intervals:
    half = NormalDist().inv_cdf((1 + confidence) / 2) * standard_errors(matrix, found.layout.n_models)
    return Intervals(found.strengths - half, found.strengths + half)


def ranks(bounds: Intervals) -> IntArray:
    """1 + how many models have their lower bound above one's upper bound, shape [M]. Several may be first."""
    return 1 + len(bounds.lower) - np.searchsorted(np.sort(bounds.lower), bounds.upper, side="right")


def bootstrap(cells: Cells, found: Fit, *, rounds: int, seed: int, confidence: float) -> Intervals:
    """Percentiles of the strengths over boards whose battles are drawn anew with replacement.

    Raises: BootstrapLost, when one of them has no maximum; NotConverged.
    """
    random = np.random.default_rng(seed)
    n = int(cells.count.sum())
    drawn = np.empty((rounds, found.layout.n_models))
    for k in range(rounds):
        again = replace(cells, count=random.multinomial(n, cells.count / n).astype(float))
        try:
            drawn[k] = _refit(again, found).strengths
        except (NotConnected, TiesWanted) as exc:
            raise BootstrapLost(round=k + 1, rounds=rounds) from exc
    lower, upper = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    return Intervals(lower, upper)


def _refit(cells: Cells, found: Fit) -> Fit:
    layout = found.layout
    return fit(cells, layout.n_models, tie_model=layout.tie_model, has_side=layout.has_side, start=found.parameters)


def battle_scores(cells: Cells, found: Fit) -> list[tuple[IntArray, FloatArray]]:
    """Of one battle of each cell, weighted: which parameters it touches, and its score there."""
    at = found.layout.terms(cells, found.parameters)
    return [
        (index, cells.weight * (by_d * at.score_d + by_g * at.score_g))
        for index, by_d, by_g in found.layout.entries(cells)
    ]


def _meat(cells: Cells, found: Fit) -> FloatArray:
    size = found.layout.size
    total = np.zeros(size * size)
    scores = battle_scores(cells, found)
    for row, row_score in scores:
        for column, column_score in scores:
            of_pair = cells.count * row_score * column_score
            total += np.bincount(row * size + column, of_pair, minlength=size * size)
    return total.reshape(size, size)


def voter_scores(battles: Battles, numbers: IntArray, found: Fit, low: int, high: int) -> FloatArray:
    """Sums of voters `low` to `high` (not included) of `numbers`, which are `voter_numbers`; shape [high - low, P]."""
    start, stop = (int(row) for row in np.searchsorted(numbers, (low, high)))
    return _sum_by(numbers[start:stop] - low, high - low, _slice(battles, start, stop), found.layout, found)


def voter_numbers(battles: Battles) -> IntArray:
    """0, 1, 2 ... in the order of `battles`, which is by voter."""
    return np.cumsum(np.diff(battles.voter, prepend=battles.voter[:1]) != 0)


def _slice(battles: Battles, start: int, stop: int) -> Cells:
    """Each battle a cell of its own."""
    return Cells(
        battles.first[start:stop],
        battles.second[start:stop],
        battles.outcome[start:stop],
        battles.weight[start:stop],
        np.ones(stop - start),
    )


def _sum_by(group: IntArray, n_groups: int, cells: Cells, layout: Layout, found: Fit) -> FloatArray:
    total = np.zeros(n_groups * layout.size)
    for index, of_battle in battle_scores(cells, found):
        total += np.bincount(group * layout.size + index, of_battle, minlength=len(total))
    return total.reshape(n_groups, layout.size)


def _meat_by_voter(battles: Battles, found: Fit) -> tuple[FloatArray, float]:
    numbers = voter_numbers(battles)
    n_voters = int(numbers[-1]) + 1
    meat = np.zeros((found.layout.size, found.layout.size))
    for low in range(0, n_voters, _VOTERS_AT_ONCE):
        scores = voter_scores(battles, numbers, found, low, min(low + _VOTERS_AT_ONCE, n_voters))
        meat += scores.T @ scores
    return meat, float(n_voters)
