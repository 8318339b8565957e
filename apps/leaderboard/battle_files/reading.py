"""From a clean-battle file or a log to battles that can be rated, with a count for every row that is not among them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO

from apps.core.json_stream import Broken, FileCut, Row, Text, stream_values
from apps.leaderboard.battle_files.columns import Columns
from apps.leaderboard.battle_files.fastchat_log import battle_of, is_log_line, is_vote
from apps.leaderboard.battle_files.rows import BattleRow, FieldWrong, row_parse
from apps.leaderboard.battle_files.rules import Cleaning, Reason, dropped_for
from apps.leaderboard.errors import BattleFileCut, BattleFileRefused, BattleFileUnreadable
from apps.leaderboard.rating.battles import Battles

ROW_MAX_CHARS = 2 * 1024 * 1024
"""A row may be so long, two conversations of some hundred thousand tokens each; a longer one is broken."""
MESSAGES_MAX = 10


@dataclass(slots=True)
class Reading:
    """What came of a file. `messages` are of the first rows that were refused."""

    n_rows: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    judges: tuple[str, ...] = ()
    """Who the first voters are, by their numbers; those after them have no names."""
    categories: tuple[str, ...] = ()
    """What the bits of `Battles.tags` mean, from the lowest."""

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
    with opened(path) as file:
        return battles_from(file, cleaning, is_strict=is_strict)


def battles_from(file: Text, cleaning: Cleaning, *, is_strict: bool = False) -> tuple[Battles, Reading]:
    """The same of an open file. Raises: BattleFileCut, BattleFileRefused, RatingRefused."""
    columns, reading = Columns(cleaning), Reading()
    for _, row in rows_kept(file, cleaning, reading, is_strict=is_strict):
        columns.add(row)
    reading.judges, reading.categories = columns.judges, columns.categories
    return columns.battles(), reading


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Bytes that are no text become what no name may have. Raises: BattleFileUnreadable."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            yield file
    except OSError as exc:
        raise BattleFileUnreadable(path=str(path), reason=exc.strerror or str(exc)) from exc


def rows_kept(
    file: Text, cleaning: Cleaning, reading: Reading, *, is_strict: bool = False
) -> Iterator[tuple[int, BattleRow]]:
    """Those that count, with the lines where they begin; `reading` counts all of them as they are read.

    Raises: BattleFileCut, BattleFileRefused.
    """
    seen: set[int] = set()
    for line, value, _ in _values(file):
        reading.n_rows += 1
        row = _row_checked(line, value, reading, seen, is_strict=is_strict)
        if row is None:
            continue
        if reason := dropped_for(row, cleaning):
            reading.dropped[reason] += 1
        else:
            yield line, row


def _values(file: Text) -> Iterator[Row]:
    try:
        yield from stream_values(file, row_max_chars=ROW_MAX_CHARS)
    except FileCut as exc:
        raise BattleFileCut(line=exc.line, reason=exc.reason) from exc


def _row_checked(line: int, value: Any, reading: Reading, seen: set[int], *, is_strict: bool) -> BattleRow | None:
    if isinstance(value, Broken):
        reading.refuse(line, Reason.BAD_JSON, value.reason, is_strict=is_strict)
        return None
    if is_log_line(value) and not is_vote(value):
        reading.dropped[Reason.NOT_A_VOTE] += 1
        return None
    try:
        row = row_parse(battle_of(value) if is_log_line(value) else value)
    except FieldWrong as exc:
        reading.refuse(line, Reason.BAD_FIELD, str(exc), is_strict=is_strict)
        return None
    if row.question_id is not None:
        number = _number_of(row.question_id)
        if number in seen:
            message = f"question_id: {row.question_id[:64]!r} was there before"
            reading.refuse(line, Reason.DUPLICATE, message, is_strict=is_strict)
            return None
        seen.add(number)
    return row


def _number_of(question_id: str) -> int:
    """128 bits, so that chance makes no two alike; half the memory of the text, of which a file has millions."""
    return int.from_bytes(blake2b(question_id.encode("utf-8", "surrogatepass"), digest_size=16).digest())
