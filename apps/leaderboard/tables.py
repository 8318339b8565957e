"""A board as text for a terminal, and as JSON. The JSON has the same bytes for the same board."""

import json
from collections.abc import Iterator, Mapping, Sequence

from apps.leaderboard.rating.board import Board, Row
from apps.leaderboard.rating.graph import Standing

WORDS = {
    Standing.UNDEFEATED: "never lost: no number can say how good it is",
    Standing.WINLESS: "never won: no number can say how bad it is",
    Standing.UNDECIDED: "only ties so far",
    Standing.APART: "not linked by wins and losses with the rated models",
    Standing.FEW_BATTLES: "too few battles",
}


Extra = Mapping[str, Mapping[str, float]]
"""More columns: by their names, a number for each model that has one."""


def board_json(board: Board, extra: Extra | None = None) -> str:
    """{model: {rating, lower, upper, rank, votes}}, null where a model has no rating."""
    rows = {
        row.name: {
            "rating": row.rating,
            "lower": row.lower,
            "upper": row.upper,
            "rank": row.rank,
            "votes": row.n_battles,
        }
        | {column: of.get(row.name) for column, of in (extra or {}).items()}
        for row in board.rows
    }
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False)


def board_text(board: Board, extra: Extra | None = None) -> str:
    """Columns for people."""
    extra = extra or {}
    head = ("rank", "model", "rating", "interval", "votes", *(column.replace("_", " ") for column in extra))
    lines = [head, *((*_cells(row), *_more(row, extra)) for row in board.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    # A name may hold what moves a terminal's cursor.
    name = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in row.name)
    if row.rating is None or row.lower is None or row.upper is None:
        return ("-", name, "-", WORDS[row.standing], str(row.n_battles))
    interval = f"{row.lower - row.rating:+.1f} {row.upper - row.rating:+.1f}"
    return (str(row.rank), name, f"{row.rating:.1f}", interval, str(row.n_battles))


def _more(row: Row, extra: Extra) -> Iterator[str]:
    for of in extra.values():
        value = of.get(row.name)
        yield "-" if value is None else str(value) if isinstance(value, int) else f"{value:.1f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if i in (1, 3) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
