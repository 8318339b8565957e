"""`manage.py leaderboard build|verify|export|list|import|imports|withdraw|judge`: boards of files and of own votes."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from apps.arena.models import Arena
from apps.arena.models.entries import DEFAULT_SLUG
from apps.core.errors import SiteError
from apps.core.texts import clean_text
from apps.leaderboard.battle_files.reading import Reading, battles_read
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.chart_services import charts_draw
from apps.leaderboard.extras import Asked, categories_text, columns, influence_lines
from apps.leaderboard.imports import battles_import, import_withdraw
from apps.leaderboard.judging import Judged, prompts_judge
from apps.leaderboard.management.options import (
    add_cleaning_arguments,
    add_config_arguments,
    add_extra_arguments,
    config_of,
    natural,
)
from apps.leaderboard.models import ImportedFile, Snapshot
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import Board, board_of, rate
from apps.leaderboard.rating.slices import OVERALL, of_category, unstyled
from apps.leaderboard.selectors import snapshot_get
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.tables import board_json, board_text
from apps.leaderboard.votes import votes_lines, votes_read

_LISTED = 100
_TOLD = ("public_id", "arena__slug", "created_at", "n_votes")
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
        judge = verbs.add_parser("judge", help="have one of the site's models judge which prompts of votes are hard")
        judge.add_argument("--model", required=True, metavar="NAME", help="it is sent the prompts")
        judge.add_argument("--arena", default=DEFAULT_SLUG, help="whose votes")
        judge.add_argument("--limit", type=natural, default=None, metavar="N", help="ask about so many and no more")

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
                    self.stdout.writelines(line.decode() for line in votes_lines(snapshot_get(options["id"])))
                case "list":
                    self._list()
                case "import":
                    self._import(options)
                case "imports":
                    self._list_imports()
                case "withdraw":
                    file, n_battles = import_withdraw(options["id"])
                    self.stdout.write(f"{file.name}: {n_battles} battles taken out. {_NEXT}")
                case "judge":
                    self._judge(options)
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
        self._print(*votes_read(votes_lines(snapshot), deduplicates=options["dedup"]), options)

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
                f"{clean_text(path.name)}: {imported.n_new} new battles, {imported.n_there} were there before "
                f"({imported.file.public_id})"
            )
        self.stderr.write(_NEXT)

    def _list_imports(self) -> None:
        for file in ImportedFile.objects.select_related("arena"):
            state = "withdrawn" if file.withdrawn_at else f"{file.n_battles} battles"
            self.stdout.write(
                f"{file.public_id}\t{file.arena.slug}\t{file.imported_at:%Y-%m-%d %H:%M}\t{state}\t{file.name}"
            )

    def _judge(self, options: dict[str, Any]) -> None:
        def tell(so_far: Judged) -> None:
            self.stderr.write(f"{so_far.n_judged} judged, {so_far.failed.total()} not")

        found = prompts_judge(_arena(options["arena"]), options["model"], limit=options["limit"], told=tell)
        self.stdout.write(f"{found.n_judged} prompts judged, {found.n_hard} of them hard")
        self.stderr.write(f"  {found.n_erased} votes have no text any more")
        for reason, n in found.failed.most_common():
            self.stderr.write(f"  {n} not judged: {reason}")
        if found.n_judged:
            self.stderr.write(_NEXT)
        if found.ended_by:
            raise CommandError(f"nothing more was asked, since the model answers nothing: {found.ended_by.message}")
        if found.failed:
            raise CommandError(f"{found.failed.total()} prompts were not judged: run it again to ask about them")

    def _tell(self, reading: Reading) -> None:
        for message in reading.messages:
            self.stderr.write(message)
        self.stderr.write(f"{reading.n_rows} rows, {reading.n_kept} battles")
        for reason, count in sorted(reading.dropped.items()):
            self.stderr.write(f"  left out, {reason.value}: {count}")

    def _tell_more(self, board: Board) -> None:
        if left_out := board.n_battles - board.n_rated_battles:
            self.stderr.write(f"  without a part in the ratings, since one of the two has none: {left_out}")


def _arena(slug: str) -> Arena:
    arena = Arena.objects.filter(slug=slug).first()
    if arena is None:
        raise CommandError(f"there is no arena {slug!r}")
    return arena
