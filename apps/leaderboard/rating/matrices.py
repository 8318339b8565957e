"""Tables of pairs: who won how much against whom, and what the ratings say. Shape [M, M], nan where unknown."""

import numpy as np

from apps.leaderboard.rating.battles import Cells, FloatArray
from apps.leaderboard.rating.graph import decided_matrix
from apps.leaderboard.rating.ties import sigmoid


def battle_counts(cells: Cells, n_models: int, *, with_ties: bool = True) -> FloatArray:
    """How often two met, by number and not by weight."""
    counts = np.zeros((n_models, n_models))
    kept = np.ones(len(cells.first), dtype=bool) if with_ties else cells.score != 0.5
    np.add.at(counts, (cells.first[kept], cells.second[kept]), cells.count[kept])
    return counts + counts.T


def win_fractions(cells: Cells, n_models: int) -> FloatArray:
    """[i, j]: which part of the decided battles of i and j was won by i; ties are left out."""
    decided = decided_matrix(cells, n_models)
    met = decided + decided.T
    return np.divide(decided, met, out=np.full_like(met, np.nan), where=met > 0)


def predicted_win_rates(strengths: FloatArray) -> FloatArray:
    """[i, j]: what i gets of a battle with j by the ratings, a tie counted half."""
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
