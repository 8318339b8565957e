"""Battles as arrays, in an order of their own: the same battles give the same bytes in whatever order they came."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from apps.leaderboard.errors import BattlesMalformed, TooManyModels

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MAX_MODELS = 2_000
"""The information matrix is dense: 32 MB at this size, and seconds for each step of the fit."""


class Outcome(IntEnum):
    """How a battle ended. FastChat's "tie (bothbad)" is a tie."""

    FIRST = 0
    SECOND = 1
    TIE = 2


@dataclass(frozen=True, slots=True)
class Cells:
    """Battles that are alike, counted. Vectors of one length.

    `weight` is of one battle, `count` says how many there are: a resample changes the counts alone.
    """

    first: IntArray
    second: IntArray
    outcome: IntArray
    weight: FloatArray
    count: FloatArray

    @property
    def total(self) -> FloatArray:
        return self.weight * self.count

    @property
    def score(self) -> FloatArray:
        """What the first one got of a battle: 1, 0, or a half for a tie."""
        return np.choose(self.outcome, (1.0, 0.0, 0.5))


@dataclass(frozen=True, slots=True)
class Battles:
    """N battles of M models. Make it by `of`, which checks and orders.

    `first`, `second`: indexes into `names`; `voter`: any numbering, the same number for the same person; all `[N]`.
    """

    names: tuple[str, ...]
    first: IntArray
    second: IntArray
    outcome: IntArray
    weight: FloatArray
    voter: IntArray

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        *,
        first: IntArray,
        second: IntArray,
        outcome: IntArray,
        weight: FloatArray | None = None,
        voter: IntArray | None = None,
    ) -> Self:
        """Raises: BattlesMalformed, TooManyModels. Battles without weight count for nothing and are left out."""
        weight = np.ones(len(first)) if weight is None else weight
        voter = np.arange(len(first), dtype=np.int64) if voter is None else voter
        _check(names, first, second, outcome, weight, voter)
        kept = weight > 0
        key = _key(first, second, outcome, len(names))
        order = np.flatnonzero(kept)[np.lexsort((weight[kept], key[kept], voter[kept]))]
        return cls(names, first[order], second[order], outcome[order], weight[order], voter[order])

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_models(self) -> int:
        return len(self.names)

    def cells(self) -> Cells:
        """All battles that are alike in one row each, sorted."""
        weights, which = np.unique(self.weight, return_inverse=True)
        key = _key(self.first, self.second, self.outcome, self.n_models) * len(weights) + which
        _, at, count = np.unique(key, return_index=True, return_counts=True)
        columns = (self.first[at], self.second[at], self.outcome[at], self.weight[at])
        return Cells(*columns, count.astype(np.float64))

    def rows(self) -> Cells:
        """Each battle a cell of its own, in the order of `voter`."""
        return Cells(self.first, self.second, self.outcome, self.weight, np.ones(len(self)))

    def among(self, kept: BoolArray) -> "Battles":
        """Of the models where `kept` is true, those among themselves."""
        number = np.cumsum(kept) - 1
        rows = kept[self.first] & kept[self.second]
        names = tuple(name for name, is_kept in zip(self.names, kept, strict=True) if is_kept)
        return Battles(
            names,
            number[self.first[rows]],
            number[self.second[rows]],
            self.outcome[rows],
            self.weight[rows],
            self.voter[rows],
        )

    def without_voter(self, voter: int) -> "Battles":
        rows = self.voter != voter
        return Battles(
            self.names, self.first[rows], self.second[rows], self.outcome[rows], self.weight[rows], self.voter[rows]
        )


def _key(first: IntArray, second: IntArray, outcome: IntArray, n_models: int) -> IntArray:
    return (first * n_models + second) * len(Outcome) + outcome


def _check(
    names: tuple[str, ...], first: IntArray, second: IntArray, outcome: IntArray, weight: FloatArray, voter: IntArray
) -> None:
    if len(names) > MAX_MODELS:
        raise TooManyModels(n_models=len(names), limit=MAX_MODELS)
    if len(set(names)) != len(names):
        raise BattlesMalformed(reason="two models have one name")
    if len({len(column) for column in (first, second, outcome, weight, voter)}) != 1:
        raise BattlesMalformed(reason="the columns differ in length")
    if not len(first):
        return
    if min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= len(names):
        raise BattlesMalformed(reason="an index is outside the list of models")
    if (first == second).any():
        raise BattlesMalformed(reason="a model meets itself")
    if outcome.min() < 0 or outcome.max() >= len(Outcome):
        raise BattlesMalformed(reason="an outcome is none of first, second and tie")
    if not np.isfinite(weight).all() or weight.min() < 0:
        raise BattlesMalformed(reason="a weight is negative or no number")
