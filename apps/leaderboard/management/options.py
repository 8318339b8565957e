"""Options of `manage.py leaderboard`: which rows of a file count, on what a board depends, what else is printed."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.slices import OVERALL
from apps.leaderboard.rating.ties import TieModel

_DEFAULT = BoardConfig()


def add_cleaning_arguments(parser: ArgumentParser) -> None:
    """Which rows of a file count."""
    parser.add_argument("--strict", action="store_true", help="refuse the file at the first row that is wrong")
    parser.add_argument("--exclude", action="append", default=[], metavar="MODEL", help="leave it out; repeatable")
    parser.add_argument("--with-named", action="store_true", help="also battles whose models were not hidden")


def add_config_arguments(parser: ArgumentParser) -> None:
    """Everything that a board depends on besides its battles."""
    parser.add_argument("--ties", choices=[str(t) for t in TieModel], default=str(TieModel.HALF), help="default: half")
    parser.add_argument(
        "--intervals", choices=[str(c) for c in Covariance], default=str(Covariance.ROBUST), help="default: robust"
    )
    parser.add_argument("--confidence", type=_share, default=0.95, help="of the intervals, default 0.95")
    parser.add_argument("--side-effect", action="store_true", help="let the first side have an advantage, and fit it")
    parser.add_argument(
        "--min-battles", type=int, default=_DEFAULT.min_battles, metavar="N", help="no rank with fewer, default 10"
    )
    parser.add_argument("--base", type=float, default=1000.0, help="mean of the ratings, or the anchor's; default 1000")
    parser.add_argument("--anchor", default="", metavar="MODEL", help="put this model at the base")
    parser.add_argument("--dedup", action="store_true", help="let battles about a frequent prompt weigh less")


def add_extra_arguments(parser: ArgumentParser) -> None:
    """What is printed besides the board."""
    parser.add_argument(
        "--bootstrap",
        type=natural,
        default=0,
        metavar="ROUNDS",
        help="also intervals by resampling, to check the others",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of --bootstrap, default 0")
    parser.add_argument(
        "--elo", action="store_true", help="also online Elo by the times of a FILE; with --bootstrap its median too"
    )
    parser.add_argument("--style", action="store_true", help="also ratings with length and Markdown taken out")
    parser.add_argument("--category", default=OVERALL, metavar="NAME", help="of its battles alone, as code or lang_en")
    parser.add_argument("--influence", action="store_true", help="also which voters move the board most")


def config_of(options: dict[str, Any]) -> BoardConfig:
    return BoardConfig(
        tie_model=TieModel(options["ties"]),
        covariance=Covariance(options["intervals"]),
        confidence=options["confidence"],
        has_side=options["side_effect"],
        min_battles=options["min_battles"],
        base=options["base"],
        anchor=options["anchor"],
        deduplicates=options["dedup"],
    )


def natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ArgumentTypeError("must not be negative")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise ArgumentTypeError("must be between 0 and 1")
    return share
