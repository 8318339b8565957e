"""FastChat's ratings of a clean-battle file, for benchmarks/ratings.py. Run by FastChat's own interpreter.

Prints one JSON object: seconds for reading, for the fit, and for `rounds` of its bootstrap, and the ratings.
"""

import json
import sys
from time import perf_counter

import pandas  # type: ignore[import-untyped]  # of the peer
from fastchat.serve.monitor.elo_analysis import (  # type: ignore[import-not-found]  # of the peer
    compute_elo_mle_with_tie,
    get_bootstrap_result,
)


def main() -> None:
    path, rounds = sys.argv[1], int(sys.argv[2])
    started = perf_counter()
    battles = pandas.read_json(path).sort_values(ascending=True, by=["tstamp"])
    battles = battles[battles["anony"]].reset_index(drop=True)
    read = perf_counter()
    ratings = compute_elo_mle_with_tie(battles)
    fitted = perf_counter()
    get_bootstrap_result(battles, compute_elo_mle_with_tie, rounds)
    ended = perf_counter()
    json.dump(
        {
            "read_s": read - started,
            "fit_s": fitted - read,
            "bootstrap_s": ended - fitted,
            "ratings": {name: float(rating) for name, rating in ratings.items()},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
