"""`make bench-ratings`: the leaderboard beside FastChat's elo_analysis and evalica, in one run, each figure a line.

Battles are drawn from known strengths and written as a clean-battle file, which FastChat and we read; evalica gets them
read. "Fit" is from read battles to ratings. FastChat's bootstrap is timed by a tenth of its rounds. "Refresh" is a
site's own board with that many votes in its database, made of all of them, and then with a thousand more.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from apps.leaderboard.battle_files.reading import battles_read
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.battle_files.style import FEATURES, metadata_of
from apps.leaderboard.rating.battles import Battles, Outcome
from apps.leaderboard.rating.board import Board, BoardConfig, board_make
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.slices import unstyled, with_style
from benchmarks.gateway_servers import manage, scripted_site
from benchmarks.report import Figure, middle, peak_mib
from benchmarks.servers import PEERS, PeerMissing

FIT_S, STYLED_S, REFRESH_S, RSS_MIB = 1.0, 10.0, 1.0, 600.0
FASTCHAT_FIT, EVALICA_FIT, FASTCHAT_FILE = 1 / 20, 1 / 5, 1 / 3
"""At most so much of the peer's time. Source of all seven: what this project set out to reach."""
BOOTSTRAP_ROUNDS = 100
ROUNDS_TIMED = 10
_WINNERS = np.array(("model_a", "model_b", "tie"))


def battles_drawn(n: int, n_models: int, seed: int = 0) -> Battles:
    """Models of uneven popularity, a quarter of ties, voters of whom a few vote a lot, and lengths that sway nobody."""
    random = np.random.default_rng(seed)
    strengths = random.normal(0, 0.7, n_models)
    popularity = random.dirichlet(np.full(n_models, 3.0))
    first, second = (random.choice(n_models, n, p=popularity) for _ in "ab")
    while (same := first == second).any():
        second[same] = random.choice(n_models, int(same.sum()), p=popularity)
    won = random.random(n) < 1 / (1 + np.exp(strengths[second] - strengths[first]))
    outcome = np.where(random.random(n) < 0.25, Outcome.TIE, np.where(won, Outcome.FIRST, Outcome.SECOND))
    style = np.clip(random.normal(0, 0.3, (n, len(FEATURES))), -1, 1)
    voter = random.zipf(1.6, n) % max(50, n // 6)
    names = tuple(f"model-{i:03d}" for i in range(n_models))
    return Battles.of(names, first=first, second=second, outcome=outcome.astype(np.int64), voter=voter, style=style)


def file_write(path: Path, battles: Battles, seed: int = 1) -> None:
    """As FastChat's clean_battle_data writes them, without texts."""
    random = np.random.default_rng(seed)
    counts = random.poisson((250, 2, 3, 2), (len(battles), 2, 4)).tolist()
    columns = (column.tolist() for column in (battles.first, battles.second, battles.outcome, battles.voter))
    rows = zip(*columns, counts, strict=True)
    with path.open("w") as file:
        file.write("[")
        for n, (first, second, outcome, voter, (a, b)) in enumerate(rows):
            row = {
                "question_id": f"{n:032x}",
                "model_a": battles.names[first],
                "model_b": battles.names[second],
                "winner": str(_WINNERS[outcome]),
                "judge": f"arena_user_{voter}",
                "conversation_a": [],
                "conversation_b": [],
                "turn": 1,
                "anony": True,
                "language": "English",
                "tstamp": 1.7e9 + n,
                "conv_metadata": metadata_of(tuple(a), tuple(b)),
            }
            file.write((",\n" if n else "") + json.dumps(row))
        file.write("]\n")


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median."""
    took = []
    for _ in range(rounds):
        started = perf_counter()
        work()
        took.append(perf_counter() - started)
    return middle(took)


def evalica_fit(battles: Battles) -> Callable[[], object]:
    """Of battles that are read: names, as its users have them."""
    import evalica  # it brings pandas, whose memory is not ours

    winners = np.array((evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw), dtype=object)
    names = np.array(battles.names, dtype=object)
    columns = (names[battles.first].tolist(), names[battles.second].tolist(), winners[battles.outcome].tolist())
    return lambda: evalica.bradley_terry(*columns)


def fastchat(path: Path) -> dict[str, float]:
    python = PEERS / "fastchat" / "bin" / "python"
    if not python.exists():
        raise PeerMissing("FastChat is not set up: run `make peers`")
    script = Path(__file__).parent / "peers" / "fastchat_elo.py"
    ran = subprocess.run([python, script, path, str(ROUNDS_TIMED)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def file_board(path: Path) -> Board:
    battles, _ = battles_read(path, Cleaning())
    return board_make(battles, BoardConfig())


def file_in_child(path: Path) -> tuple[float, float]:
    """Seconds from the file to the board, and the most MiB that a process of its own held for it."""
    started = perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.ratings", "--file", path], capture_output=True, text=True, check=True
    )
    return perf_counter() - started, float(ran.stdout)


def figures(n: int, n_models: int, rounds: int) -> list[Figure]:
    battles = battles_drawn(n, n_models)
    plain, styled = unstyled(battles), with_style(battles)
    config, clustered = BoardConfig(), BoardConfig(covariance=Covariance.CLUSTERED)
    fit_s = seconds(lambda: board_make(plain, config), rounds)
    evalica_s = seconds(evalica_fit(plain), rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "battles.json"
        file_write(path, plain)
        file_s, rss_mib = file_in_child(path)
        peer = fastchat(path)
    bootstrap_s = peer["bootstrap_s"] * BOOTSTRAP_ROUNDS / ROUNDS_TIMED
    return [
        Figure("fit", fit_s, "s", None, FIT_S, less_is_better=True),
        Figure("fit.fastchat_bootstrap", fit_s, "s", bootstrap_s, FASTCHAT_FIT, less_is_better=True),
        Figure("fit.evalica", fit_s, "s", evalica_s, EVALICA_FIT, less_is_better=True),
        Figure("fit.clustered", seconds(lambda: board_make(plain, clustered), rounds), "s"),
        Figure("fit.styled", seconds(lambda: board_make(styled, config, FEATURES), 1), "s", None, STYLED_S, True),
        Figure("file.fastchat", file_s, "s", peer["read_s"] + bootstrap_s, FASTCHAT_FILE, less_is_better=True),
        Figure("file.rss", rss_mib, "MiB", None, RSS_MIB, less_is_better=True),
    ]


def refreshed(n: int, n_models: int) -> list[Figure]:
    """On a site with so many votes: the board of all of them, and with a thousand more."""
    with tempfile.TemporaryDirectory(prefix="fastchat-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with scripted_site(folder) as site:
            script = f"from benchmarks.ratings_refresh import measure; measure({n}, {n_models})"
            told = manage(site.data_dir, "shell", "--no-imports", "--command", script)
    found = json.loads(told.splitlines()[-1])
    return [
        Figure("refresh.all_votes", found["full_s"], "s"),
        Figure("refresh.all_votes_rss", found["full_mib"], "MiB"),
        Figure("refresh.thousand_votes", found["extended_s"], "s", None, REFRESH_S, less_is_better=True),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--battles", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        file_board(options.file)
        print(peak_mib())
        return 0
    print(json.dumps({"cores": os.cpu_count(), "battles": options.battles, "models": options.models}))
    found = figures(options.battles, options.models, options.rounds) + refreshed(options.battles, options.models)
    for figure in found:
        print(figure.line(), flush=True)
    return int(any(figure.holds is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
