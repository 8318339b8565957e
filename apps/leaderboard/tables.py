"""A board as text for a terminal, and as JSON. The JSON has the same bytes for the same board."""

import json
from collections.abc import Sequence

from apps.leaderboard.rating.board import Board, Row
from apps.leaderboard.rating.graph import Standing

WORDS = {
    Standing.UNDEFEATED: "never lost: no number can say how good it is",
    Standing.WINLESS: "never won: no number can say how bad it is",
    Standing.APART: "not linked by wins and losses with the rated models",
    Standing.FEW_BATTLES: "too few battles",
}


def board_json(board: Board) -> str:
    """{model: {rating, lower, upper, rank, votes}}, null where a model has no rating."""
    rows = {
        row.name: {
            "rating": row.rating,
            "lower": row.lower,
            "upper": row.upper,
            "rank": row.rank,
            "votes": row.n_battles,
        }
        for row in board.rows
    }
    return json.dumps(rows, indent=2, ensure_ascii=False)


def board_text(board: Board) -> str:
    """Columns for people."""
    head = ("rank", "model", "rating", "interval", "votes")
    lines = [head, *(_cells(row) for row in board.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.rating is None or row.lower is None or row.upper is None:
        return ("-", row.name, "-", WORDS[row.standing], str(row.n_battles))
    interval = f"{row.lower - row.rating:+.1f} {row.upper - row.rating:+.1f}"
    return (str(row.rank), row.name, f"{row.rating:.1f}", interval, str(row.n_battles))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    rank, model, rating, interval, votes = (
        cell.ljust(width) if i in (1, 3) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return f"{rank}  {model}  {rating}  {interval}  {votes}".rstrip()
