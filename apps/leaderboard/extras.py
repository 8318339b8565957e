"""What `leaderboard build` prints besides the board when asked: resampled bounds, online Elo, voters who move it."""

from dataclasses import dataclass

import numpy as np

from apps.leaderboard.battle_files.reading import Reading
from apps.leaderboard.rating.board import POINTS_PER_LOGIT, Rated, bootstrap_bounds
from apps.leaderboard.rating.elo import elo_bootstrap, elo_in_time
from apps.leaderboard.rating.influence import Influence, leave_one_voter_out
from apps.leaderboard.tables import Extra


@dataclass(frozen=True, slots=True)
class Asked:
    """`rounds` of 0 are none."""

    rounds: int
    seed: int
    has_elo: bool


def columns(rated: Rated, asked: Asked) -> Extra:
    """Raises: BootstrapLost, NotConverged, TimesWanted."""
    found: dict[str, dict[str, float]] = {}
    if asked.rounds:
        bounds = bootstrap_bounds(rated, rounds=asked.rounds, seed=asked.seed)
        for column, values in (("bootstrap_lower", bounds.lower), ("bootstrap_upper", bounds.upper)):
            found[column] = dict(zip(rated.names_shown, values.tolist(), strict=True))
    if asked.has_elo:
        found["elo"] = elo_in_time(rated.battles)
    if asked.has_elo and asked.rounds:
        medians = np.median(elo_bootstrap(rated.battles, rounds=asked.rounds, seed=asked.seed), axis=0)
        found["elo_median"] = dict(zip(rated.battles.names, medians.tolist(), strict=True))
    return found


def influence_lines(rated: Rated, reading: Reading) -> list[str]:
    """Of the voters who move the board most, the first one first."""
    return [_influence(rated, reading, influence) for influence in leave_one_voter_out(rated.among, rated.fitted)]


def _influence(rated: Rated, reading: Reading, influence: Influence) -> str:
    is_named = influence.voter < len(reading.judges)
    who = f"{reading.judges[influence.voter]!r}" if is_named else "somebody without a name"
    votes = f"{influence.n_battles} {'vote' if influence.n_battles == 1 else 'votes'}"
    if influence.shift is None:
        return f"without {who} ({votes}) these models have no board"
    moved = int(np.abs(influence.shift).argmax())
    points = influence.shift[moved] * POINTS_PER_LOGIT
    return f"without {who} ({votes}) {rated.among.names[moved]} moves by {points:+.1f} points"
