"""Tables of pairs: who won how much against whom, and what the ratings say. Shape [M, M], nan where unknown."""

from typing import NamedTuple

import numpy as np

from apps.leaderboard.rating.battles import Cells, FloatArray, Outcome
from apps.leaderboard.rating.ties import sigmoid


class Pair(NamedTuple):
    """How two models did against each other, on either side, by number, not by weight. `first` is the earlier one."""

    first: int
    second: int
    n_won: int
    n_lost: int
    n_tied: int


def pairs(cells: Cells, n_models: int) -> list[Pair]:
    """Of all that met, in the order of their names."""
    low, high = np.minimum(cells.first, cells.second), np.maximum(cells.first, cells.second)
    won = np.where(cells.first == low, Outcome.FIRST, Outcome.SECOND)
    column = np.where(cells.outcome == Outcome.TIE, 2, np.where(cells.outcome == won, 0, 1))
    flat = np.bincount((low * n_models + high) * 3 + column, cells.count, minlength=n_models**2 * 3)
    counts = flat.reshape(-1, 3).astype(int)
    met = np.flatnonzero(counts.sum(1))
    return list(map(Pair._make, np.column_stack((met // n_models, met % n_models, counts[met])).tolist()))


def battle_counts(of: list[Pair], n_models: int, *, with_ties: bool = True) -> FloatArray:
    """How often two met."""
    counts = np.zeros((n_models, n_models))
    for pair in of:
        n = pair.n_won + pair.n_lost + (pair.n_tied if with_ties else 0)
        counts[pair.first, pair.second] = counts[pair.second, pair.first] = n
    return counts


def win_fractions(of: list[Pair], n_models: int) -> FloatArray:
    """[i, j]: which part of the decided battles of i and j was won by i; ties are left out."""
    won = np.zeros((n_models, n_models))
    for pair in of:
        won[pair.first, pair.second], won[pair.second, pair.first] = pair.n_won, pair.n_lost
    met = won + won.T
    return np.divide(won, met, out=np.full_like(met, np.nan), where=met > 0)


def predicted_win_rates(strengths: FloatArray) -> FloatArray:
    """[i, j]: what i gets of a battle with j by the ratings, a tie counted half; nan for a strength that is nan."""
    predicted = sigmoid(strengths[:, None] - strengths[None, :])
    np.fill_diagonal(predicted, np.nan)
    return predicted


def average_win_rates(rates: FloatArray) -> FloatArray:
    """Of each model over its opponents, each of them counted once; nan for one that met nobody. Shape [M]."""
    known = ~np.isnan(rates)
    n_known = known.sum(1)
    total = np.where(known, rates, 0.0).sum(1)
    average: FloatArray = np.divide(total, n_known, out=np.full(len(rates), np.nan), where=n_known > 0)
    return average
