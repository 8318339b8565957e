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

    def others(self, cells: Cells) -> list[tuple[float | FloatArray, float]]:
        """Of each parameter but the strengths: how d and g of a battle change with it."""
        side = [(1.0, 0.0)] if self.has_side else []
        style = [] if cells.style is None else [(column, 0.0) for column in cells.style.T]
        return [*side, *style, *([(0.0, 1.0)] if self.tie_model.has_parameter else [])]

    def entries(self, cells: Cells) -> list[Entry]:
        """All that a battle touches."""
        ones = np.ones(len(cells.first), dtype=np.int64)
        others = enumerate(self.others(cells), start=self.n_models)
        return [
            (cells.first, 1.0, 0.0),
            (cells.second, -1.0, 0.0),
            *((index * ones, by_d, by_g) for index, (by_d, by_g) in others),
        ]

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
    return outer_sum(cells, layout, weight * of.info_dd, weight * of.info_dg, weight * of.info_gg)


def outer_sum(cells: Cells, layout: Layout, dd: FloatArray, dg: FloatArray, gg: FloatArray) -> FloatArray:
    """Of all cells, J' [[dd, dg], [dg, gg]] J with J the derivatives of d and g by all parameters; shape [P, P].

    What is of strengths is summed by pair first, so that the cost hardly grows with the number of models.
    """
    m = layout.n_models
    total = np.zeros((layout.size, layout.size))
    by_pair = np.bincount(cells.first * m + cells.second, dd, minlength=m * m).reshape(m, m)
    total[:m, :m] = np.diag(by_pair.sum(0) + by_pair.sum(1)) - by_pair - by_pair.T
    others = layout.others(cells)
    for row, (row_d, row_g) in enumerate(others, start=m):
        with_d, with_g = row_d * dd + row_g * dg, row_d * dg + row_g * gg
        of_models = np.bincount(cells.first, with_d, minlength=m) - np.bincount(cells.second, with_d, minlength=m)
        total[row, :m] = total[:m, row] = of_models
        for column, (column_d, column_g) in enumerate(others[: row - m + 1], start=m):
            total[row, column] = total[column, row] = float((with_d * column_d + with_g * column_g).sum())
    return total


def pinned(matrix: FloatArray, n_models: int) -> FloatArray:
    """The information with the strengths' mean held at 0: invertible."""
    held = matrix.copy()
    held[:n_models, :n_models] += np.trace(matrix[:n_models, :n_models]) / n_models**2
    return held
