"""From a clean-battle file to battles that can be rated, with a count for every row that is not among them."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from apps.core.json_stream import Broken, FileCut, Row, stream_values
from apps.leaderboard.battle_files.rows import BattleRow, FieldWrong, row_parse
from apps.leaderboard.battle_files.rules import Cleaning, Reason, dropped_for
from apps.leaderboard.errors import BattleFileCut, BattleFileRefused, BattleFileUnreadable
from apps.leaderboard.rating.battles import Battles, IntArray

ROW_MAX_CHARS = 2 * 1024 * 1024
"""A row may be so long, two conversations of some hundred thousand tokens each; a longer one is broken."""
MESSAGES_MAX = 10
_NOBODY = -1


@dataclass(slots=True)
class Reading:
    """What came of a file. `messages` are of the first rows that were refused."""

    n_rows: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    judges: tuple[str, ...] = ()
    """Who the first voters are, by their numbers; those after them have no names."""

    @property
    def n_kept(self) -> int:
        return self.n_rows - self.dropped.total()

    def refuse(self, line: int, reason: Reason, message: str, *, is_strict: bool) -> None:
        if is_strict:
            raise BattleFileRefused(line=line, reason=message)
        self.dropped[reason] += 1
        if len(self.messages) < MESSAGES_MAX:
            self.messages.append(f"line {line}: {message}")


def battles_read(path: Path, cleaning: Cleaning, *, is_strict: bool = False) -> tuple[Battles, Reading]:
    """Read a file row by row. Rows that cannot be used are counted; with `is_strict` the first one is the end.

    Raises: BattleFileUnreadable, BattleFileCut, BattleFileRefused, RatingRefused.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            return battles_from(file, cleaning, is_strict=is_strict)
    except OSError as exc:
        raise BattleFileUnreadable(path=str(path), reason=exc.strerror or str(exc)) from exc


def battles_from(file: TextIO, cleaning: Cleaning, *, is_strict: bool = False) -> tuple[Battles, Reading]:
    """The same of an open file. Raises: BattleFileCut, BattleFileRefused, RatingRefused."""
    columns, reading = _Columns(), Reading()
    seen: set[str] = set()
    for line, value, _ in _values(file):
        reading.n_rows += 1
        row = _row_checked(line, value, reading, seen, is_strict=is_strict)
        if row is None:
            continue
        if reason := dropped_for(row, cleaning):
            reading.dropped[reason] += 1
        else:
            columns.add(row)
    reading.judges = columns.judges
    return columns.battles(), reading


def _values(file: TextIO) -> Iterator[Row]:
    try:
        yield from stream_values(file, row_max_chars=ROW_MAX_CHARS)
    except FileCut as exc:
        raise BattleFileCut(line=exc.line, reason=exc.reason) from exc


def _row_checked(line: int, value: object, reading: Reading, seen: set[str], *, is_strict: bool) -> BattleRow | None:
    if isinstance(value, Broken):
        reading.refuse(line, Reason.BAD_JSON, value.reason, is_strict=is_strict)
        return None
    try:
        row = row_parse(value)
    except FieldWrong as exc:
        reading.refuse(line, Reason.BAD_FIELD, str(exc), is_strict=is_strict)
        return None
    if row.question_id is not None:
        if row.question_id in seen:
            message = f"question_id: {row.question_id[:64]!r} was there before"
            reading.refuse(line, Reason.DUPLICATE, message, is_strict=is_strict)
            return None
        seen.add(row.question_id)
    return row


class _Columns:
    """Numbers of eight bytes instead of rows: a million battles are 48 MB."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._judges: dict[str, int] = {}
        self._first, self._second, self._outcome, self._voter = (array("q") for _ in range(4))
        self._weight, self._time = array("d"), array("d")

    def add(self, row: BattleRow) -> None:
        self._first.append(self._names.setdefault(row.model_a, len(self._names)))
        self._second.append(self._names.setdefault(row.model_b, len(self._names)))
        self._outcome.append(row.outcome)
        self._weight.append(row.weight)
        self._time.append(row.time)
        judge = row.judge
        self._voter.append(_NOBODY if judge is None else self._judges.setdefault(judge, len(self._judges)))

    @property
    def judges(self) -> tuple[str, ...]:
        return tuple(sorted(self._judges))

    def battles(self) -> Battles:
        """Models and voters numbered by name, so that the order of the rows leaves no trace."""
        number = _by_name(self._names)
        first, second = (number[np.asarray(column, dtype=np.int64)] for column in (self._first, self._second))
        outcome = np.asarray(self._outcome, dtype=np.int64)
        voter = np.asarray(self._voter, dtype=np.int64)
        weight = np.asarray(self._weight, dtype=np.float64)
        known = voter != _NOBODY
        numbered = np.empty_like(voter)
        numbered[known] = _by_name(self._judges)[voter[known]]
        alone = np.flatnonzero(~known)
        # Each of those without a name is a voter of their own.
        ordered = alone[np.lexsort((weight[alone], outcome[alone], second[alone], first[alone]))]
        numbered[ordered] = len(self._judges) + np.arange(len(alone))
        names = tuple(sorted(self._names))
        time = np.asarray(self._time, dtype=np.float64)
        return Battles.of(names, first=first, second=second, outcome=outcome, weight=weight, voter=numbered, time=time)


def _by_name(numbers: dict[str, int]) -> IntArray:
    """The new number for each old one."""
    by_name = np.empty(len(numbers), dtype=np.int64)
    for new, name in enumerate(sorted(numbers)):
        by_name[numbers[name]] = new
    return by_name
