"""Maximum likelihood: Newton's method with step halving; for plain Bradley-Terry, the slow and sure one after it.

What comes out is the maximum, or a refusal. No prior, no ridge, no pseudo-battles.
"""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.errors import NoBattles, NotConnected, NotConverged, TiesWanted
from apps.leaderboard.rating.battles import Cells, FloatArray, IntArray, Outcome
from apps.leaderboard.rating.graph import components, win_matrix
from apps.leaderboard.rating.ties import Terms, TieModel, terms

TOLERANCE = 1e-10
"""Of a Newton step, in logits: 2e-8 rating points, and the next step would be its square."""
NEWTON_ROUNDS = 50
MM_ROUNDS = 20_000
_HALVINGS = 40
_START_G = {TieModel.HALF: 0.0, TieModel.DAVIDSON: 0.0, TieModel.RAO_KUPPER: 0.5}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where parameters stand in a vector: M strengths, then the advantage of the first side, then the tie parameter."""

    n_models: int
    tie_model: TieModel
    has_side: bool

    @property
    def size(self) -> int:
        return self.n_models + self.has_side + self.tie_model.has_parameter

    def entries(self, cells: Cells) -> list[tuple[IntArray, int, int]]:
        """For each parameter that a battle touches: which, and how d and g change with it."""
        ones = np.ones(len(cells.first), dtype=np.int64)
        touched = [(cells.first, 1, 0), (cells.second, -1, 0)]
        if self.has_side:
            touched.append((self.n_models * ones, 1, 0))
        if self.tie_model.has_parameter:
            touched.append(((self.size - 1) * ones, 0, 1))
        return touched

    def terms(self, cells: Cells, parameters: FloatArray) -> Terms:
        side = parameters[self.n_models] if self.has_side else 0.0
        g = float(parameters[-1]) if self.tie_model.has_parameter else 0.0
        return terms(self.tie_model, parameters[cells.first] - parameters[cells.second] + side, g, cells.outcome)


@dataclass(frozen=True, slots=True)
class Fit:
    """The maximum. `parameters` as `layout` says, strengths with mean 0, in logits."""

    layout: Layout
    parameters: FloatArray
    loglik: float
    n_rounds: int

    @property
    def strengths(self) -> FloatArray:
        """In logits, mean 0, shape [M]."""
        return self.parameters[: self.layout.n_models]

    @property
    def side(self) -> float | None:
        """By how many logits being first helps."""
        return float(self.parameters[self.layout.n_models]) if self.layout.has_side else None

    @property
    def tie(self) -> float | None:
        """Davidson's nu or Rao and Kupper's theta, as they write them: the exponential of our g."""
        return float(np.exp(self.parameters[-1])) if self.layout.tie_model.has_parameter else None


def fit(
    cells: Cells,
    n_models: int,
    *,
    tie_model: TieModel = TieModel.HALF,
    has_side: bool = False,
    newton_rounds: int = NEWTON_ROUNDS,
    start: FloatArray | None = None,
) -> Fit:
    """Raises: NoBattles, NotConnected, TiesWanted, NotConverged."""
    _check(cells, n_models, tie_model)
    layout = Layout(n_models, tie_model, has_side)
    if start is None:
        start = np.zeros(layout.size)
        if tie_model.has_parameter:
            start[-1] = _START_G[tie_model]
    try:
        return _newton(cells, layout, start, newton_rounds)
    except NotConverged:
        if tie_model is not TieModel.HALF or has_side:
            raise
    return _as_fit(cells, layout, *mm(win_matrix(cells, n_models)))


def mm(wins: FloatArray, *, tolerance: float = TOLERANCE / 100, max_rounds: int = MM_ROUNDS) -> tuple[FloatArray, int]:
    """Bradley-Terry strengths in logits, mean 0, from wins[i, j] by minorise-maximise; and how many rounds it took.

    Each round is sure to climb, and there are many of them. Source: Hunter (2004), Annals of Statistics 32(1), 384-406.
    Raises: NotConverged.
    """
    met = wins + wins.T
    strengths = np.zeros(len(wins))
    for n_rounds in range(1, max_rounds + 1):
        powers = np.exp(strengths)
        fresh = np.log(wins.sum(1) / (met / (powers[:, None] + powers[None, :])).sum(1))
        fresh -= fresh.mean()
        step = float(np.abs(fresh - strengths).max())
        strengths = fresh
        if step < tolerance:
            return strengths, n_rounds
    raise NotConverged(rounds=max_rounds, step=step)


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


def _newton(cells: Cells, layout: Layout, parameters: FloatArray, max_rounds: int) -> Fit:
    weight = cells.total
    at = layout.terms(cells, parameters)
    best = float(weight @ at.loglik)
    step_size = float("inf")
    for n_rounds in range(1, max_rounds + 1):
        held = pinned(information(cells, layout, at, weight), layout.n_models)
        try:
            step: FloatArray = np.linalg.solve(held, score(cells, layout, at, weight)).astype(np.float64)
        except np.linalg.LinAlgError as exc:
            raise NotConverged(rounds=n_rounds, step=step_size) from exc
        step_size = float(np.abs(step).max())
        parameters, at, best = _climb(cells, layout, parameters, step, best)
        if step_size < TOLERANCE:
            return _as_fit(cells, layout, parameters, n_rounds)
    raise NotConverged(rounds=max_rounds, step=step_size)


def _climb(
    cells: Cells, layout: Layout, parameters: FloatArray, step: FloatArray, best: float
) -> tuple[FloatArray, Terms, float]:
    """As much of the step as does not go down; near the top, rounding may hide a climb of the last digits."""
    slack = 1e-12 * max(1.0, abs(best))
    for halvings in range(_HALVINGS):
        fresh = parameters + step / 2**halvings
        if layout.tie_model is TieModel.RAO_KUPPER and fresh[-1] <= 0:
            continue
        at = layout.terms(cells, fresh)
        reached = float(cells.total @ at.loglik)
        if reached >= best - slack:
            return fresh, at, reached
    raise NotConverged(rounds=_HALVINGS, step=float(np.abs(step).max()))


def _as_fit(cells: Cells, layout: Layout, parameters: FloatArray, n_rounds: int) -> Fit:
    parameters = parameters.copy()
    parameters[: layout.n_models] -= parameters[: layout.n_models].mean()
    loglik = float(cells.total @ layout.terms(cells, parameters).loglik)
    if not np.isfinite(parameters).all():
        raise NotConverged(rounds=n_rounds, step=float("nan"))
    return Fit(layout, parameters, loglik, n_rounds)


def _check(cells: Cells, n_models: int, tie_model: TieModel) -> None:
    if not len(cells.first):
        raise NoBattles
    n_components = len(np.unique(components(win_matrix(cells, n_models))))
    if n_components > 1:
        raise NotConnected(n_components=n_components)
    ties = float(cells.total[cells.outcome == Outcome.TIE].sum())
    if tie_model.has_parameter and not 0 < ties < float(cells.total.sum()):
        raise TiesWanted(model=tie_model.value)
