"""Maximum likelihood: Newton's method with step halving; for plain Bradley-Terry, the slow and sure one after it.

What comes out is the maximum, or a refusal. No prior, no ridge, no pseudo-battles.
"""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.errors import NotConverged
from apps.leaderboard.rating.battles import Cells, FloatArray
from apps.leaderboard.rating.existence import check_maximum
from apps.leaderboard.rating.graph import win_matrix
from apps.leaderboard.rating.layout import Layout, information, pinned, score
from apps.leaderboard.rating.ties import Terms, TieModel

TOLERANCE = 1e-10
"""Of a Newton step, in logits: 2e-8 rating points, and the next step would be its square."""
NEWTON_ROUNDS = 50
MM_ROUNDS = 20_000
_HALVINGS = 40


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
    def style(self) -> FloatArray:
        """By how many logits one more of each feature helps."""
        return self.parameters[self.layout.style_at]

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
    """Raises: NoBattles, NotConnected, TiesWanted, NotIdentified, NoMaximum, NotConverged."""
    n_style = 0 if cells.style is None else cells.style.shape[1]
    layout = Layout(n_models, tie_model, has_side, n_style)
    check_maximum(cells, layout)
    try:
        return _newton(cells, layout, layout.start() if start is None else start, newton_rounds)
    except NotConverged:
        if layout.size > n_models:
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
