"""Battles as arrays, counted so that the same battles give the same bytes in whatever order they came."""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, Self

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


_ODD = np.uint64(0x9E3779B97F4A7C15)
_SCORES = np.array((1.0, 0.0, 0.5))


@dataclass(frozen=True, slots=True)
class Cells:
    """Battles that are alike, counted. Vectors of one length.

    `weight` is of one battle, `count` says how many there are: a resample changes the counts alone. With `style`,
    [cells, features], each battle is a cell of its own.
    """

    first: IntArray
    second: IntArray
    outcome: IntArray
    weight: FloatArray
    count: FloatArray
    style: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        return self.weight * self.count

    @property
    def score(self) -> FloatArray:
        """What the first one got of a battle: 1, 0, or a half for a tie."""
        return _SCORES[self.outcome]


@dataclass(frozen=True, slots=True)
class ByVoter:
    """Cells apart for each voter: `number` counts voters from 0 and says whose a cell is, `voters` who that is."""

    voters: IntArray
    number: IntArray
    cells: Cells


@dataclass(frozen=True, slots=True)
class Battles:
    """N battles of M models. Make it by `of`, which checks.

    `first`, `second`: indexes into `names`; `voter`: any numbering, the same number for the same person; all `[N]`.
    Only some need `style`, how the first answer differs from the second, [N, features], nan where that is not known;
    `time`, in seconds, [N]; `tags`, bits of categories, [N]; and `count`, of how many battles a row is, [N], where
    nothing is asked of single ones.
    """

    names: tuple[str, ...]
    first: IntArray
    second: IntArray
    outcome: IntArray
    weight: FloatArray
    voter: IntArray
    style: FloatArray | None = None
    time: FloatArray | None = None
    tags: IntArray | None = None
    count: IntArray | None = None

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
        style: FloatArray | None = None,
        time: FloatArray | None = None,
        tags: IntArray | None = None,
        count: IntArray | None = None,
    ) -> Self:
        """Raises: BattlesMalformed, TooManyModels. Battles without weight count for nothing and are left out."""
        weight = np.ones(len(first)) if weight is None else weight
        voter = np.arange(len(first), dtype=np.int64) if voter is None else voter
        battles = cls(names, first, second, outcome, weight, voter, style, time, tags, count)
        _check(battles)
        return battles if (weight > 0).all() else battles.where(weight > 0)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_battles(self) -> int:
        return len(self) if self.count is None else int(self.count.sum())

    @property
    def n_models(self) -> int:
        return len(self.names)

    @property
    def score(self) -> FloatArray:
        return _SCORES[self.outcome]

    def cells(self) -> Cells:
        """All battles that are alike in one row each, sorted; with `style`, all battles, sorted."""
        if self.style is not None:
            return self._rows(np.argsort(self._fingerprint(), kind="stable"))
        kind, weights = self._kinds()
        found, count = _counted(kind, self._n_kinds(weights), self.count)
        return self._cells_of(found, count, weights)

    def by_voter(self) -> ByVoter:
        """The same for each voter apart, sorted by voter. Raises: BattlesMalformed."""
        if self.count is not None:
            raise BattlesMalformed(reason="of battles that were counted nobody knows the voters")
        voters, number = np.unique(self.voter, return_inverse=True)
        if self.style is not None:
            order = np.lexsort((self._fingerprint(), number))
            return ByVoter(voters, number[order], self._rows(order))
        kind, weights = self._kinds()
        kinds, kind = np.unique(kind, return_inverse=True) if len(weights) > 1 else (None, kind)
        n_kinds = self._n_kinds(weights) if kinds is None else len(kinds)
        both, count = np.unique(number * n_kinds + kind, return_counts=True)
        number, kind = np.divmod(both, n_kinds)
        return ByVoter(voters, number, self._cells_of(kind if kinds is None else kinds[kind], count, weights))

    def where(self, rows: BoolArray) -> Self:
        """Those battles alone, of the same models."""
        return replace(self, **{name: column[rows] for name, column in self._columns().items()})

    def among(self, kept: BoolArray) -> Self:
        """Of the models where `kept` is true, those among themselves."""
        if kept.all():
            return self
        number = np.cumsum(kept) - 1
        rows = self.where(kept[self.first] & kept[self.second])
        names = tuple(name for name, is_kept in zip(self.names, kept, strict=True) if is_kept)
        return replace(rows, names=names, first=number[rows.first], second=number[rows.second])

    def without_voter(self, voter: int) -> Self:
        return self.where(self.voter != voter)

    def _columns(self) -> dict[str, Any]:
        every = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "names"}
        return {name: column for name, column in every.items() if column is not None}

    def _key(self) -> IntArray:
        return (self.first * self.n_models + self.second) * len(Outcome) + self.outcome

    def _fingerprint(self) -> npt.NDArray[np.uint64]:
        """The same for battles that are alike: an order of theirs, which sums of rounded numbers need, at one sort."""
        style = np.empty((len(self), 0)) if self.style is None else self.style
        columns = (self.weight, *style.T)
        found = self._key().astype(np.uint64)
        for column in columns:
            found = (found ^ np.ascontiguousarray(column).view(np.uint64)) * _ODD
            found ^= found >> np.uint64(29)
        return found

    def _kinds(self) -> tuple[IntArray, FloatArray]:
        """A number for each kind of battle, and the weights that there are: mostly one."""
        if not len(self) or (self.weight == self.weight[0]).all():
            return self._key(), self.weight[:1]
        weights, which = np.unique(self.weight, return_inverse=True)
        return self._key() * len(weights) + which, weights

    def _n_kinds(self, weights: FloatArray) -> int:
        return self.n_models**2 * len(Outcome) * len(weights)

    def _cells_of(self, kind: IntArray, count: IntArray, weights: FloatArray) -> Cells:
        key, which = np.divmod(kind, max(len(weights), 1))
        pair, outcome = np.divmod(key, len(Outcome))
        first, second = np.divmod(pair, self.n_models)
        return Cells(first, second, outcome, weights[which], count.astype(np.float64))

    def _rows(self, order: IntArray) -> Cells:
        style = None if self.style is None else self.style[order]
        first, second, outcome = self.first[order], self.second[order], self.outcome[order]
        return Cells(first, second, outcome, self.weight[order], np.ones(len(order)), style)


def _counted(kind: IntArray, n_kinds: int, each: IntArray | None) -> tuple[IntArray, IntArray]:
    """Which kinds there are, sorted, and how many of each: by a table if it is no longer than the battles are."""
    if n_kinds > 4 * len(kind):
        found, which = np.unique(kind, return_inverse=True)
        return found, np.bincount(which, each).astype(np.int64)
    counts = np.bincount(kind, each, minlength=n_kinds).astype(np.int64)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _check(battles: Battles) -> None:
    names, first, second, outcome = battles.names, battles.first, battles.second, battles.outcome
    if len(names) > MAX_MODELS:
        raise TooManyModels(n_models=len(names), limit=MAX_MODELS)
    if len(set(names)) != len(names):
        raise BattlesMalformed(reason="two models have one name")
    if len({len(column) for column in battles._columns().values()}) != 1:
        raise BattlesMalformed(reason="the columns differ in length")
    if not len(first):
        return
    if min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= len(names):
        raise BattlesMalformed(reason="an index is outside the list of models")
    if (first == second).any():
        raise BattlesMalformed(reason="a model meets itself")
    if outcome.min() < 0 or outcome.max() >= len(Outcome):
        raise BattlesMalformed(reason="an outcome is none of first, second and tie")
    if not np.isfinite(battles.weight).all() or battles.weight.min() < 0:
        raise BattlesMalformed(reason="a weight is negative or no number")
    if battles.count is not None and battles.count.min() < 1:
        raise BattlesMalformed(reason="a row is of no battle")
    if battles.style is not None and np.isinf(battles.style).any():
        raise BattlesMalformed(reason="a feature of style is without bounds")
