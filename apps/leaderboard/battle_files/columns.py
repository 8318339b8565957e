"""Rows that count, as columns of numbers: a million battles are some dozens of megabytes, however long their texts."""

from array import array

import numpy as np

from apps.leaderboard.battle_files.categories import categories_in
from apps.leaderboard.battle_files.frequency import UNKNOWN, prompt_number, share_in, shares
from apps.leaderboard.battle_files.rows import BattleRow
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.battle_files.style import FEATURES, NAN, style_of
from apps.leaderboard.rating.battles import Battles, FloatArray, IntArray

_NOBODY = -1
TAGS_MAX = 62
"""Bits of a number. Languages that come after so many are in no category of their own."""


class Columns:
    """What is asked of rows besides the battle itself depends on `cleaning`."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self._names: dict[str, int] = {}
        self._judges: dict[str, int] = {}
        self._tag_bits: dict[str, int] = {}
        self._first, self._second, self._voter, self._outcome = array("i"), array("i"), array("i"), array("b")
        self._weight, self._time = array("d"), array("d")
        self._style, self._share = array("d"), array("d")
        self._tags, self._prompt = array("q"), array("q")

    def add(self, row: BattleRow) -> None:
        self._first.append(self._names.setdefault(row.model_a, len(self._names)))
        self._second.append(self._names.setdefault(row.model_b, len(self._names)))
        self._outcome.append(row.outcome)
        self._weight.append(row.weight)
        self._time.append(row.time)
        judge = row.judge
        self._voter.append(_NOBODY if judge is None else self._judges.setdefault(judge, len(self._judges)))
        if self._cleaning.has_style:
            self._style.extend(style_of(row.raw))
        if self._cleaning.has_categories:
            self._tags.append(sum(self._bit(name) for name in sorted(categories_in(row.raw))))
        if self._cleaning.deduplicates:
            share = share_in(row.raw)
            self._share.append(NAN if share is None else share)
            self._prompt.append(prompt_number(row.raw) if share is None else UNKNOWN)

    @property
    def judges(self) -> tuple[str, ...]:
        return tuple(sorted(self._judges))

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(self._tag_bits)

    def battles(self) -> Battles:
        """Models and voters numbered by name, so that the order of the rows leaves no trace. Raises: RatingRefused."""
        number = _by_name(self._names)
        first, second = (number[np.asarray(column)] for column in (self._first, self._second))
        outcome, weight = np.asarray(self._outcome, dtype=np.int64), self._weights()
        return Battles.of(
            tuple(sorted(self._names)),
            first=first,
            second=second,
            outcome=outcome,
            weight=weight,
            voter=self._voters(first, second, outcome, weight),
            style=np.asarray(self._style).reshape(-1, len(FEATURES)) if self._cleaning.has_style else None,
            time=np.asarray(self._time),
            tags=np.asarray(self._tags, dtype=np.int64) if self._cleaning.has_categories else None,
        )

    def _weights(self) -> FloatArray:
        weight = np.asarray(self._weight, dtype=np.float64)
        if not self._cleaning.deduplicates:
            return weight
        told = np.asarray(self._share)
        return weight * np.where(np.isnan(told), shares(np.asarray(self._prompt, dtype=np.int64)), told)

    def _voters(self, first: IntArray, second: IntArray, outcome: IntArray, weight: FloatArray) -> IntArray:
        voter = np.asarray(self._voter, dtype=np.int64)
        known = voter != _NOBODY
        numbered = np.empty_like(voter)
        numbered[known] = _by_name(self._judges)[voter[known]]
        alone = np.flatnonzero(~known)
        # Each of those without a name is a voter of their own.
        ordered = alone[np.lexsort((weight[alone], outcome[alone], second[alone], first[alone]))]
        numbered[ordered] = len(self._judges) + np.arange(len(alone))
        return numbered

    def _bit(self, name: str) -> int:
        if name not in self._tag_bits and len(self._tag_bits) == TAGS_MAX:
            return 0
        return 1 << self._tag_bits.setdefault(name, len(self._tag_bits))


def _by_name(numbers: dict[str, int]) -> IntArray:
    """The new number for each old one."""
    by_name = np.empty(len(numbers), dtype=np.int64)
    for new, name in enumerate(sorted(numbers)):
        by_name[numbers[name]] = new
    return by_name
