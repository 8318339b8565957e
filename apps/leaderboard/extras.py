"""What `leaderboard build` prints besides the board when asked: bounds, Elo, style taken out, voters who move it."""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.battle_files.reading import Reading
from apps.leaderboard.battle_files.style import FEATURES
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import POINTS_PER_LOGIT, Coefficient, Rated, board_make, bootstrap_bounds
from apps.leaderboard.rating.elo import elo_bootstrap, elo_in_time
from apps.leaderboard.rating.influence import Influence, leave_one_voter_out
from apps.leaderboard.rating.slices import with_style
from apps.leaderboard.tables import Extra


@dataclass(frozen=True, slots=True)
class Asked:
    """`rounds` of 0 are none."""

    rounds: int
    seed: int
    has_elo: bool
    has_style: bool


def columns(battles: Battles, rated: Rated, asked: Asked) -> tuple[Extra, list[str]]:
    """Columns, and lines about them. Raises: RatingRefused."""
    found: dict[str, dict[str, float]] = {}
    lines: list[str] = []
    if asked.has_style:
        board = board_make(with_style(battles), rated.config, FEATURES)
        for field in ("rank", "rating", "lower", "upper"):
            of_models = {row.name: getattr(row, field) for row in board.rows}
            found[f"style_{field}"] = {name: value for name, value in of_models.items() if value is not None}
        lines += [_coefficient(of) for of in board.style]
    if asked.rounds:
        bounds = bootstrap_bounds(rated, rounds=asked.rounds, seed=asked.seed)
        for column, values in (("bootstrap_lower", bounds.lower), ("bootstrap_upper", bounds.upper)):
            found[column] = dict(zip(rated.names_shown, values.tolist(), strict=True))
    if asked.has_elo:
        found["elo"] = elo_in_time(rated.battles)
    if asked.has_elo and asked.rounds:
        medians = np.median(elo_bootstrap(rated.battles, rounds=asked.rounds, seed=asked.seed), axis=0)
        found["elo_median"] = dict(zip(rated.battles.names, medians.tolist(), strict=True))
    return found, lines


def categories_text(battles: Battles, reading: Reading) -> str:
    """How many battles each category has, the largest first."""
    tags = np.zeros(len(battles), dtype=np.int64) if battles.tags is None else battles.tags
    counts = {name: int(((tags >> bit) & 1).sum()) for bit, name in enumerate(reading.categories)}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f"categories: {', '.join(f'{name} {count}' for name, count in ordered) or 'none'}"


def influence_lines(rated: Rated, reading: Reading) -> list[str]:
    """Of the voters who move the board most, the first one first."""
    return [_influence(rated, reading, influence) for influence in leave_one_voter_out(rated.among, rated.fitted)]


def _coefficient(of: Coefficient) -> str:
    return (
        f"{of.feature}: one standard deviation more gives {of.points:+.1f} points "
        f"({of.lower - of.points:+.1f} {of.upper - of.points:+.1f})"
    )


def _influence(rated: Rated, reading: Reading, influence: Influence) -> str:
    is_named = influence.voter < len(reading.judges)
    who = f"{reading.judges[influence.voter]!r}" if is_named else "somebody without a name"
    votes = f"{influence.n_battles} {'vote' if influence.n_battles == 1 else 'votes'}"
    if influence.shift is None:
        return f"without {who} ({votes}) these models have no board"
    moved = int(np.abs(influence.shift).argmax())
    points = influence.shift[moved] * POINTS_PER_LOGIT
    return f"without {who} ({votes}) {rated.among.names[moved]} moves by {points:+.1f} points"
