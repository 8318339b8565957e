"""Which parameters there are, where they stand in a vector, and the likelihood's derivatives by them."""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.rating.battles import Cells, FloatArray, IntArray
from apps.leaderboard.rating.ties import Terms, TieModel, terms

_START_G = {TieModel.HALF: 0.0, TieModel.DAVIDSON: 0.0, TieModel.RAO_KUPPER: 0.5}

Entry = tuple[IntArray, float | FloatArray, float]
"""A parameter that battles touch: its index, and how d and g change with it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """M strengths, the advantage of the first side, coefficients of features, the tie parameter: in that order."""

    n_models: int
    tie_model: TieModel
    has_side: bool
    n_style: int = 0

    @property
    def size(self) -> int:
        return self.n_models + self.has_side + self.n_style + self.tie_model.has_parameter

    @property
    def style_at(self) -> slice:
        low = self.n_models + self.has_side
        return slice(low, low + self.n_style)

    def start(self) -> FloatArray:
        start = np.zeros(self.size)
        if self.tie_model.has_parameter:
            start[-1] = _START_G[self.tie_model]
        return start

    def entries(self, cells: Cells) -> list[Entry]:
        """All that a battle touches."""
        ones = np.ones(len(cells.first), dtype=np.int64)
        touched: list[Entry] = [(cells.first, 1.0, 0.0), (cells.second, -1.0, 0.0)]
        if self.has_side:
            touched.append((self.n_models * ones, 1.0, 0.0))
        if cells.style is not None:
            touched += [((self.style_at.start + k) * ones, cells.style[:, k], 0.0) for k in range(self.n_style)]
        if self.tie_model.has_parameter:
            touched.append(((self.size - 1) * ones, 0.0, 1.0))
        return touched

    def terms(self, cells: Cells, parameters: FloatArray) -> Terms:
        d = parameters[cells.first] - parameters[cells.second]
        if self.has_side:
            d = d + parameters[self.n_models]
        if cells.style is not None:
            d = d + cells.style @ parameters[self.style_at]
        g = float(parameters[-1]) if self.tie_model.has_parameter else 0.0
        return terms(self.tie_model, d, g, cells.outcome)


def score(cells: Cells, layout: Layout, of: Terms, weight: FloatArray) -> FloatArray:
    """Gradient of the log-likelihood, shape [P]."""
    total = np.zeros(layout.size)
    for index, by_d, by_g in layout.entries(cells):
        total += np.bincount(index, weight * (by_d * of.score_d + by_g * of.score_g), minlength=layout.size)
    return total


def information(cells: Cells, layout: Layout, of: Terms, weight: FloatArray) -> FloatArray:
    """Second derivatives of the log-likelihood, negated, shape [P, P]. The strengths' common shift is in its kernel."""
    size = layout.size
    total = np.zeros(size * size)
    entries = layout.entries(cells)
    for row, row_d, row_g in entries:
        for column, column_d, column_g in entries:
            of_pair = row_d * column_d * of.info_dd + row_g * column_g * of.info_gg
            of_pair = of_pair + (row_d * column_g + row_g * column_d) * of.info_dg
            total += np.bincount(row * size + column, weight * of_pair, minlength=size * size)
    return total.reshape(size, size)


def pinned(matrix: FloatArray, n_models: int) -> FloatArray:
    """The information with the strengths' mean held at 0: invertible."""
    held = matrix.copy()
    held[:n_models, :n_models] += np.trace(matrix[:n_models, :n_models]) / n_models**2
    return held
