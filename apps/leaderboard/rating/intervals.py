"""How sure the strengths are: the sandwich, plain or by voter; a seeded bootstrap as its check; ranks by intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from apps.leaderboard.errors import (
    BootstrapLost,
    IndependenceWanted,
    NoMaximum,
    NotConnected,
    NotIdentified,
    TiesWanted,
)
from apps.leaderboard.rating.battles import Battles, BoolArray, ByVoter, Cells, FloatArray, IntArray
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.layout import information, outer_sum, pinned

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Covariance(StrEnum):
    """What is believed about the votes."""

    MODEL = "model"
    """The model is true, and ties are half a win each with certainty: what textbooks print."""
    ROBUST = "robust"
    """Votes are independent; the model may be wrong."""
    CLUSTERED = "clustered"
    """Voters are independent; votes of one voter need not be."""

    @property
    def formulas(self) -> tuple["Covariance", ...]:
        """The widest of these is shown. Where one voter cast all votes of a model, that voter's scores sum to 0 at the
        maximum, which the clustered formula alone would take for certainty."""
        return (Covariance.CLUSTERED, Covariance.ROBUST) if self is Covariance.CLUSTERED else (self,)


@dataclass(frozen=True, slots=True)
class Intervals:
    """In logits, shape [M] each."""

    lower: FloatArray
    upper: FloatArray


def covariance(battles: Battles, cells: Cells, found: Fit, kind: Covariance) -> FloatArray:
    """Of all parameters, shape [P, P], for strengths with mean 0.

    Robust: A^-1 B A^-1, with A the information and B the sum of squared scores of battles, or of voters, times
    n / (n - 1). Source: White (1982), Econometrica 50(1), 1-25; Cameron and Miller (2015), JHR 50(2), 317-372.
    Raises: IndependenceWanted.
    """
    bread = inverse(cells, found)
    match kind:
        case Covariance.MODEL:
            return bread
        case Covariance.ROBUST:
            return _sandwich(bread, _meat(cells, found), float(cells.count.sum()), "votes")
        case Covariance.CLUSTERED:
            scores = voter_scores(battles.by_voter(), found)
            return _sandwich(bread, (scores.T @ scores).toarray(), float(scores.shape[0]), "voters")


def inverse(cells: Cells, found: Fit) -> FloatArray:
    """Of the information, among strengths with mean 0. Raises: NotIdentified."""
    m = found.layout.n_models
    at = found.layout.terms(cells, found.parameters)
    matrix = information(cells, found.layout, at, cells.total)
    try:
        inverted = np.linalg.inv(pinned(matrix, m))
    except np.linalg.LinAlgError as exc:
        raise NotIdentified from exc
    centre = np.eye(found.layout.size)
    centre[:m, :m] -= 1 / m
    return np.asarray(centre @ inverted @ centre.T)


def standard_errors(matrix: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(np.diag(matrix), 0.0))


def half_widths(matrices: Sequence[FloatArray], confidence: float) -> FloatArray:
    """Of normal intervals, in logits, of the widest formula for each parameter."""
    errors = np.max([standard_errors(matrix) for matrix in matrices], axis=0)
    return np.asarray(NormalDist().inv_cdf((1 + confidence) / 2) * errors)


def intervals(strengths: FloatArray, matrices: Sequence[FloatArray], confidence: float) -> Intervals:
    """`matrices` are of the strengths alone, or of all parameters."""
    half = half_widths(matrices, confidence)[: len(strengths)]
    return Intervals(strengths - half, strengths + half)


def contrast_to(shown: BoolArray) -> FloatArray:
    """From all strengths to those of the shown models with their own mean at 0, shape [shown, M]."""
    return np.asarray(np.eye(len(shown))[shown] - shown / shown.sum())


def ranks(bounds: Intervals) -> IntArray:
    """1 + how many models have their lower bound above one's upper bound, shape [M]. Several may be first."""
    return 1 + len(bounds.lower) - np.searchsorted(np.sort(bounds.lower), bounds.upper, side="right")


def bootstrap(cells: Cells, found: Fit, *, rounds: int, seed: int) -> FloatArray:
    """Strengths of boards whose battles are drawn anew with replacement, shape [rounds, M].

    Raises: BootstrapLost, when one of them has no maximum; NotConverged.
    """
    random = np.random.default_rng(seed)
    n = int(cells.count.sum())
    drawn = np.empty((rounds, found.layout.n_models))
    for k in range(rounds):
        again = replace(cells, count=random.multinomial(n, cells.count / n).astype(float))
        try:
            drawn[k] = _refit(again, found).strengths
        except (NotConnected, TiesWanted, NotIdentified, NoMaximum) as exc:
            raise BootstrapLost(round=k + 1, rounds=rounds) from exc
    return drawn


def percentiles(drawn: FloatArray, confidence: float) -> Intervals:
    lower, upper = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    return Intervals(lower, upper)


def voter_scores(votes: ByVoter, found: Fit) -> "csr_array":
    """Sum of the scores of each voter's battles, shape [voters, P]."""
    from scipy.sparse import coo_array  # here, because every process of the site has this module, and few rate

    parts = battle_scores(votes.cells, found)
    values = np.concatenate([of_battle * votes.cells.count for _, of_battle in parts])
    rows = np.tile(votes.number, len(parts))
    columns = np.concatenate([index for index, _ in parts])
    return coo_array((values, (rows, columns)), shape=(len(votes.voters), found.layout.size)).tocsr()


def battle_scores(cells: Cells, found: Fit) -> list[tuple[IntArray, FloatArray]]:
    """Of one battle of each cell, weighted: which parameters it touches, and its score there."""
    at = found.layout.terms(cells, found.parameters)
    return [
        (index, cells.weight * (by_d * at.score_d + by_g * at.score_g))
        for index, by_d, by_g in found.layout.entries(cells)
    ]


def _refit(cells: Cells, found: Fit) -> Fit:
    layout = found.layout
    return fit(cells, layout.n_models, tie_model=layout.tie_model, has_side=layout.has_side, start=found.parameters)


def _meat(cells: Cells, found: Fit) -> FloatArray:
    at = found.layout.terms(cells, found.parameters)
    weight = cells.count * cells.weight**2
    return outer_sum(
        cells, found.layout, weight * at.score_d**2, weight * at.score_d * at.score_g, weight * at.score_g**2
    )


def _sandwich(bread: FloatArray, meat: FloatArray, n: float, of: str) -> FloatArray:
    if n < 2:
        raise IndependenceWanted(of=of)
    return bread @ (meat * n / (n - 1)) @ bread
