"""A whole board from battles and a configuration, with a row for every model, also for those that get no number."""

from dataclasses import asdict, dataclass, replace
from math import isfinite, log
from typing import Any, Self

import numpy as np

from apps.leaderboard.errors import AnchorUnknown, ConfigWrong, NoBattles, StyleWanted, TooFewBattles
from apps.leaderboard.rating.battles import Battles, BoolArray, Cells, FloatArray, IntArray, Outcome
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.graph import Standing, standings
from apps.leaderboard.rating.intervals import (
    Covariance,
    Intervals,
    bootstrap,
    contrast_to,
    covariance,
    half_widths,
    intervals,
    percentiles,
    ranks,
)
from apps.leaderboard.rating.ties import TieModel

POINTS_PER_LOGIT = 400 / log(10)
"""FastChat's scale, which is Elo's: 400 points more are odds of ten to one."""
BASE_MAX = 1e6


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """All that a board depends on besides its battles. Raises: ConfigWrong."""

    tie_model: TieModel = TieModel.HALF
    covariance: Covariance = Covariance.ROBUST
    confidence: float = 0.95
    has_side: bool = False
    min_battles: int = 10
    base: float = 1000.0
    anchor: str = ""
    """A model that is put at `base`. It moves all numbers alike, and neither widths nor ranks."""
    deduplicates: bool = False
    """Battles about a frequent prompt weigh less. Whoever reads battles sees to it."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < (1 + self.confidence) / 2 < 1:
            raise ConfigWrong(field="The confidence", reason="must be between 0 and 1")
        if not isfinite(self.base) or abs(self.base) > BASE_MAX:
            raise ConfigWrong(field="The base", reason=f"must be a number between {-BASE_MAX:.0f} and {BASE_MAX:.0f}")
        if self.min_battles < 1:
            raise ConfigWrong(field="--min-battles", reason="must be at least 1")

    def as_dict(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, str) else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """From `as_dict`."""
        kinds = {"tie_model": TieModel(plain["tie_model"]), "covariance": Covariance(plain["covariance"])}
        return cls(**(plain | kinds))


@dataclass(frozen=True, slots=True)
class Row:
    """One model. Without a rating there are no bounds and no rank."""

    name: str
    standing: Standing
    n_battles: int
    n_won: int
    n_lost: int
    n_tied: int
    rating: float | None = None
    lower: float | None = None
    upper: float | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Coefficient:
    """By how many points one standard deviation more of a feature helps."""

    feature: str
    points: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Board:
    """Rows from the first to the last; those without a rating come after, by name."""

    rows: tuple[Row, ...]
    n_battles: int
    n_rated_battles: int
    """Those among rated models: what the numbers come from."""
    side_points: float | None
    tie: float | None
    style: tuple[Coefficient, ...] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """A fit, and whom it is of: `among` are the battles of rated models, `shown` those of them that have enough."""

    config: BoardConfig
    battles: Battles
    standings: list[Standing]
    among: Battles
    cells: Cells
    fitted: Fit
    shown: BoolArray

    @property
    def names_shown(self) -> list[str]:
        return [self.among.names[i] for i in np.flatnonzero(self.shown)]


def board_make(battles: Battles, config: BoardConfig, features: tuple[str, ...] = ()) -> Board:
    """With `features`, the names of the columns of `battles.style`, style is taken out. Raises: RatingRefused."""
    return board_of(rate(battles, config), features)


def rate(battles: Battles, config: BoardConfig) -> Rated:
    """Raises: RatingRefused."""
    if not len(battles):
        raise NoBattles
    found = standings(replace(battles, style=None).cells(), battles.n_models)
    rated = np.array([standing is Standing.RATED for standing in found])
    if rated.sum() < 2:
        raise NoBattles
    among = _in_deviations(battles.among(rated))
    cells = among.cells()
    shown = _counted(cells, among.n_models).sum(1) >= config.min_battles
    if shown.sum() < 2:
        raise TooFewBattles(min_battles=config.min_battles)
    if config.anchor and config.anchor not in (among.names[i] for i in np.flatnonzero(shown)):
        raise AnchorUnknown(anchor=config.anchor)
    fitted = fit(cells, among.n_models, tie_model=config.tie_model, has_side=config.has_side)
    return Rated(config, battles, found, among, cells, fitted, shown)


def board_of(rated: Rated, features: tuple[str, ...] = ()) -> Board:
    """Raises: IndependenceWanted."""
    battles, fitted = rated.battles, rated.fitted
    formulas = rated.config.covariance.formulas
    matrices = [covariance(rated.among, rated.cells, fitted, formula) for formula in formulas]
    numbers = _numbers(rated, matrices)
    counted = _counted(replace(battles, style=None).cells(), battles.n_models)
    rows = [_row(*row, numbers) for row in zip(battles.names, rated.standings, counted.tolist(), strict=True)]
    rows.sort(key=lambda row: (row.rating is None, row.rank or 0, -(row.rating or 0.0), row.name))
    side = None if fitted.side is None else fitted.side * POINTS_PER_LOGIT
    style = _coefficients(rated, matrices, features)
    return Board(tuple(rows), battles.n_battles, rated.among.n_battles, side, fitted.tie, style)


def bootstrap_bounds(rated: Rated, *, rounds: int, seed: int) -> Intervals:
    """Of the shown models, in points, in the order of `names_shown`. Raises: BootstrapLost, NotConverged."""
    contrast = contrast_to(rated.shown)
    drawn = bootstrap(rated.cells, rated.fitted, rounds=rounds, seed=seed)
    bounds = percentiles(drawn @ contrast.T, rated.config.confidence)
    zero = _zero(rated, contrast @ rated.fitted.strengths)
    return Intervals(*(rated.config.base + POINTS_PER_LOGIT * (bound - zero) for bound in (bounds.lower, bounds.upper)))


@dataclass(frozen=True, slots=True)
class _Numbers:
    index: dict[str, int]
    rating: FloatArray
    lower: FloatArray
    upper: FloatArray
    rank: IntArray


def _numbers(rated: Rated, matrices: list[FloatArray]) -> _Numbers:
    """Of the shown models alone: their mean is at the base, and ranks are among them."""
    contrast, m = contrast_to(rated.shown), rated.among.n_models
    strengths = contrast @ rated.fitted.strengths
    among_shown = [contrast @ matrix[:m, :m] @ contrast.T for matrix in matrices]
    bounds = intervals(strengths, among_shown, rated.config.confidence)
    zero = _zero(rated, strengths)
    rating, lower, upper = (
        rated.config.base + POINTS_PER_LOGIT * (logits - zero) for logits in (strengths, bounds.lower, bounds.upper)
    )
    return _Numbers({name: i for i, name in enumerate(rated.names_shown)}, rating, lower, upper, ranks(bounds))


def _zero(rated: Rated, strengths: FloatArray) -> float:
    """What is put at the base, of strengths of the shown models."""
    anchor = rated.config.anchor
    return float(strengths[rated.names_shown.index(anchor)]) if anchor else 0.0


def _in_deviations(battles: Battles) -> Battles:
    """Features in standard deviations, and not moved: no difference stays no difference. Raises: StyleWanted."""
    if battles.style is None:
        return battles
    # Sorted, so that the sum has the same last digits in any order of the battles.
    deviation = np.sort(battles.style, axis=0).std(0)
    if not (deviation > 0).all():
        raise StyleWanted(reason="all answers are alike in a feature")
    return replace(battles, style=battles.style / deviation)


def _coefficients(rated: Rated, matrices: list[FloatArray], features: tuple[str, ...]) -> tuple[Coefficient, ...]:
    at = rated.fitted.layout.style_at
    half = half_widths(matrices, rated.config.confidence)[at]
    rows = zip(features, rated.fitted.style * POINTS_PER_LOGIT, half * POINTS_PER_LOGIT, strict=True)
    return tuple(
        Coefficient(feature, float(points), float(points - wide), float(points + wide))
        for feature, points, wide in rows
    )


def _counted(cells: Cells, n_models: int) -> IntArray:
    """Won, lost and tied of each model, by number and not by weight, shape [M, 3]."""
    counts = np.zeros(n_models * 3)
    for own, won in ((cells.first, Outcome.FIRST), (cells.second, Outcome.SECOND)):
        tied = cells.outcome == Outcome.TIE
        column = np.where(tied, 2, np.where(cells.outcome == won, 0, 1))
        counts += np.bincount(own * 3 + column, cells.count, minlength=len(counts))
    return counts.reshape(n_models, 3).astype(np.int64)


def _row(name: str, standing: Standing, counted: list[int], numbers: _Numbers) -> Row:
    won, lost, tied = counted
    i = numbers.index.get(name)
    if i is None:
        standing = Standing.FEW_BATTLES if standing is Standing.RATED else standing
        return Row(name, standing, won + lost + tied, won, lost, tied)
    return Row(
        name,
        standing,
        won + lost + tied,
        won,
        lost,
        tied,
        rating=float(numbers.rating[i]),
        lower=float(numbers.lower[i]),
        upper=float(numbers.upper[i]),
        rank=int(numbers.rank[i]),
    )
