"""A whole board from battles and a configuration, with a row for every model, also for those that get no number."""

from dataclasses import asdict, dataclass
from math import log
from typing import Any, Self

import numpy as np

from apps.leaderboard.errors import AnchorUnknown, NoBattles
from apps.leaderboard.rating.battles import Battles, Cells, FloatArray, IntArray, Outcome
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.graph import Standing, standings, win_matrix
from apps.leaderboard.rating.intervals import Covariance, covariance, intervals, ranks
from apps.leaderboard.rating.ties import TieModel

POINTS_PER_LOGIT = 400 / log(10)
"""FastChat's scale, which is Elo's: 400 points more are odds of ten to one."""


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """All that a board depends on besides its battles."""

    tie_model: TieModel = TieModel.HALF
    covariance: Covariance = Covariance.ROBUST
    confidence: float = 0.95
    has_side: bool = False
    min_battles: int = 1
    base: float = 1000.0
    anchor: str = ""
    """A model that is put at `base`. It moves all numbers alike, and neither widths nor ranks."""

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
class Board:
    """Rows from the first to the last; those without a rating come after, by name."""

    rows: tuple[Row, ...]
    n_battles: int
    n_rated_battles: int
    """Those among rated models: what the numbers come from."""
    side_points: float | None
    tie: float | None


def board_make(battles: Battles, config: BoardConfig) -> Board:
    """Raises: RatingRefused."""
    if not len(battles):
        raise NoBattles
    cells = battles.cells()
    found = standings(win_matrix(cells, battles.n_models))
    rated = np.array([standing is Standing.RATED for standing in found])
    if rated.sum() < 2:
        raise NoBattles
    among = battles.among(rated)
    fitted = fit(among.cells(), among.n_models, tie_model=config.tie_model, has_side=config.has_side)
    numbers = _numbers(among, fitted, config)
    rows = [_row(battles.names[i], found[i], counted) for i, counted in enumerate(_counted(cells, battles.n_models))]
    rows = [_with_numbers(row, numbers, config.min_battles) for row in rows]
    rows.sort(key=lambda row: (row.rating is None, row.rank or 0, -(row.rating or 0.0), row.name))
    side = None if fitted.side is None else fitted.side * POINTS_PER_LOGIT
    return Board(tuple(rows), len(battles), len(among), side, fitted.tie)


@dataclass(frozen=True, slots=True)
class _Numbers:
    index: dict[str, int]
    rating: FloatArray
    lower: FloatArray
    upper: FloatArray
    rank: IntArray


def _numbers(battles: Battles, fitted: Fit, config: BoardConfig) -> _Numbers:
    index = {name: i for i, name in enumerate(battles.names)}
    if config.anchor and config.anchor not in index:
        raise AnchorUnknown(anchor=config.anchor)
    matrix = covariance(battles, battles.cells(), fitted, config.covariance)
    bounds = intervals(fitted, matrix, config.confidence)
    zero = fitted.strengths[index[config.anchor]] if config.anchor else 0.0
    rating, lower, upper = (
        config.base + POINTS_PER_LOGIT * (logits - zero) for logits in (fitted.strengths, bounds.lower, bounds.upper)
    )
    return _Numbers(index, rating, lower, upper, ranks(bounds))


def _counted(cells: Cells, n_models: int) -> list[tuple[int, int, int]]:
    """Won, lost and tied of each model, by number and not by weight."""
    counts = np.zeros((n_models, 3))
    for own, won in ((cells.first, Outcome.FIRST), (cells.second, Outcome.SECOND)):
        tied = cells.outcome == Outcome.TIE
        column = np.where(tied, 2, np.where(cells.outcome == won, 0, 1))
        np.add.at(counts, (own, column), cells.count)
    return [(int(won), int(lost), int(tied)) for won, lost, tied in counts]


def _row(name: str, standing: Standing, counted: tuple[int, int, int]) -> Row:
    won, lost, tied = counted
    return Row(name, standing, won + lost + tied, won, lost, tied)


def _with_numbers(row: Row, numbers: _Numbers, min_battles: int) -> Row:
    if row.standing is not Standing.RATED:
        return row
    counted = (row.n_won, row.n_lost, row.n_tied)
    if row.n_battles < min_battles:
        return _row(row.name, Standing.FEW_BATTLES, counted)
    i = numbers.index[row.name]
    return Row(
        row.name,
        row.standing,
        row.n_battles,
        *counted,
        rating=float(numbers.rating[i]),
        lower=float(numbers.lower[i]),
        upper=float(numbers.upper[i]),
        rank=int(numbers.rank[i]),
    )
