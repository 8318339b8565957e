"""`manage.py leaderboard build|verify|export|list|import|imports|withdraw`: boards of files and of the site's votes."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from apps.arena.models import Arena
from apps.arena.models.entries import DEFAULT_SLUG
from apps.core.errors import SiteError
from apps.leaderboard.battle_files.reading import Reading, battles_read
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.chart_services import charts_draw
from apps.leaderboard.extras import Asked, categories_text, columns, influence_lines
from apps.leaderboard.imports import battles_import, import_withdraw
from apps.leaderboard.models import ImportedFile, Snapshot
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import Board, BoardConfig, board_of, rate
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.slices import OVERALL, of_category, unstyled
from apps.leaderboard.rating.ties import TieModel
from apps.leaderboard.selectors import snapshot_get
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.tables import board_json, board_text
from apps.leaderboard.votes import votes_of, votes_read

_LISTED = 100
_TOLD = ("public_id", "arena__slug", "created_at", "n_votes")
_DEFAULT = BoardConfig()
_FILES = "FastChat's clean-battle JSON or its log, or one row a line"
_NEXT = "The next board knows of it: a refresh makes it, or `manage.py leaderboard build`."


class Command(BaseCommand):
    help = "Rate models by their battles. Example: manage.py leaderboard build clean_battle_20240814.json --json"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        build = verbs.add_parser("build", help="the board of a file, or of the site's votes, which is published")
        build.add_argument("file", type=Path, nargs="?", metavar="FILE", help=_FILES)
        build.add_argument("--arena", default=DEFAULT_SLUG, help="whose votes, without FILE")
        build.add_argument("--json", action="store_true", help="{model: {rating, lower, upper, rank, votes}}")
        add_cleaning_arguments(build)
        add_config_arguments(build)
        add_extra_arguments(build)
        verify = verbs.add_parser("verify", help="make a board again; not 0 if it differs")
        verify.add_argument("id", type=UUID)
        export = verbs.add_parser("export", help="print a board's votes, a file for `build`")
        export.add_argument("id", type=UUID)
        verbs.add_parser("list", help="print id, arena, time and votes of the newest boards")
        bring = verbs.add_parser("import", help="let an arena's boards count the battles of files in")
        bring.add_argument("files", type=Path, nargs="+", metavar="FILE", help=_FILES)
        bring.add_argument("--arena", default=DEFAULT_SLUG, help="whose boards")
        add_cleaning_arguments(bring)
        verbs.add_parser("imports", help="print id, arena, time, battles and name of the imported files")
        withdraw = verbs.add_parser("withdraw", help="take out again what a file has brought")
        withdraw.add_argument("id", type=UUID)

    def handle(self, *args: object, **options: Any) -> None:
        try:
            match options["verb"]:
                case "build" if options["file"]:
                    self._build(options)
                case "build":
                    self._publish(options)
                case "verify":
                    self._verify(snapshot_get(options["id"]))
                case "export":
                    self.stdout.write(votes_of(snapshot_get(options["id"])).decode(), ending="")
                case "list":
                    self._list()
                case "import":
                    self._import(options)
                case "imports":
                    self._list_imports()
                case "withdraw":
                    file, n_battles = import_withdraw(options["id"])
                    self.stdout.write(f"{file.name}: {n_battles} battles taken out. {_NEXT}")
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _build(self, options: dict[str, Any]) -> None:
        cleaning = Cleaning(
            frozenset(options["exclude"]),
            takes_named=options["with_named"],
            has_style=options["style"],
            has_categories=options["category"] != OVERALL,
            deduplicates=options["dedup"],
        )
        battles, reading = battles_read(options["file"], cleaning, is_strict=options["strict"])
        self._tell(reading)
        self._print(battles, reading, options)

    def _publish(self, options: dict[str, Any]) -> None:
        for name in ("strict", "exclude", "with_named", "elo"):
            if options[name]:
                raise CommandError(f"--{name.replace('_', '-')} is for a FILE")
        arena = _arena(options["arena"])
        snapshot, is_new = snapshot_build(arena, config_of(options))
        charts_draw(arena)
        self.stderr.write(f"{snapshot.public_id}{'' if is_new else ': nothing has changed'}, {snapshot.n_votes} votes")
        self._print(*votes_read(votes_of(snapshot), deduplicates=options["dedup"]), options)

    def _print(self, battles: Battles, reading: Reading, options: dict[str, Any]) -> None:
        if options["category"] != OVERALL:
            self.stderr.write(categories_text(battles, reading))
        battles = of_category(battles, options["category"], reading.categories)
        rated = rate(unstyled(battles), config_of(options))
        board = board_of(rated)
        self._tell_more(board)
        asked = Asked(options["bootstrap"], options["seed"], options["elo"], options["style"])
        extra, lines = columns(battles, rated, asked)
        self.stdout.write(board_json(board, extra) if options["json"] else board_text(board, extra))
        for line in lines:
            self.stderr.write(line)
        if options["influence"]:
            for line in influence_lines(rated, reading):
                self.stderr.write(line)

    def _verify(self, snapshot: Snapshot) -> None:
        found = snapshot_verify(snapshot)
        if not found.has_this_code:
            self.stderr.write("It was made by another version of the code.")
        if not found.has_its_votes:
            raise CommandError("the votes are not those of the board: their bytes were changed")
        if not found.has_its_numbers:
            raise CommandError("the numbers are not those that its votes give")
        self.stdout.write(f"{snapshot.public_id}: {snapshot.n_votes} votes give the same numbers")

    def _list(self) -> None:
        for snapshot in Snapshot.objects.select_related("arena").only(*_TOLD)[:_LISTED]:
            self.stdout.write(
                f"{snapshot.public_id}\t{snapshot.arena.slug}\t{snapshot.created_at:%Y-%m-%d %H:%M}\t{snapshot.n_votes}"
            )

    def _import(self, options: dict[str, Any]) -> None:
        """One file after the other: those before one that is refused stay."""
        arena = _arena(options["arena"])
        cleaning = Cleaning(frozenset(options["exclude"]), takes_named=options["with_named"])
        for path in options["files"]:
            imported = battles_import(arena, path, cleaning, is_strict=options["strict"])
            self._tell(imported.reading)
            self.stdout.write(
                f"{path.name}: {imported.n_new} new battles, {imported.n_there} were there before "
                f"({imported.file.public_id})"
            )
        self.stderr.write(_NEXT)

    def _list_imports(self) -> None:
        for file in ImportedFile.objects.select_related("arena"):
            state = "withdrawn" if file.withdrawn_at else f"{file.n_battles} battles"
            self.stdout.write(
                f"{file.public_id}\t{file.arena.slug}\t{file.imported_at:%Y-%m-%d %H:%M}\t{state}\t{file.name}"
            )

    def _tell(self, reading: Reading) -> None:
        for message in reading.messages:
            self.stderr.write(message)
        self.stderr.write(f"{reading.n_rows} rows, {reading.n_kept} battles")
        for reason, count in sorted(reading.dropped.items()):
            self.stderr.write(f"  left out, {reason.value}: {count}")

    def _tell_more(self, board: Board) -> None:
        if left_out := board.n_battles - board.n_rated_battles:
            self.stderr.write(f"  without a part in the ratings, since one of the two has none: {left_out}")


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
        type=_natural,
        default=0,
        metavar="ROUNDS",
        help="also intervals by resampling, to check the others",
    )
    parser.add_argument("--seed", type=_natural, default=0, help="of --bootstrap, default 0")
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


def _arena(slug: str) -> Arena:
    arena = Arena.objects.filter(slug=slug).first()
    if arena is None:
        raise CommandError(f"there is no arena {slug!r}")
    return arena


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ArgumentTypeError("must not be negative")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise ArgumentTypeError("must be between 0 and 1")
    return share
