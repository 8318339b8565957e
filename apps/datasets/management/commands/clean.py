"""`manage.py clean RECIPE --input FILE --output FOLDER`: training sets from raw conversations.

Files alone are cleaned without the site's apps (`manage.py`): what needs these is imported where it is used.
"""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import SiteError
from apps.datasets.cleaning import Cleaned, recipe_run, recipe_try
from apps.datasets.folder import folder_read
from apps.datasets.formats.writing import Form
from apps.datasets.management.inputs import choice_arguments, inputs_given, licensed, positive
from apps.datasets.management.site_input import asked_of, site_arguments, site_taken
from apps.datasets.names import name_check
from apps.datasets.recipe import recipe_read
from apps.datasets.report import report_text
from apps.datasets.run import Input, Options
from apps.datasets.site.asked import What
from apps.datasets.sources import no_sources, sources_of, sources_together
from apps.datasets.steps.all import STEPS

if TYPE_CHECKING:
    from apps.datasets.site.snapshot import Taken

_TOLD_EVERY_S = 1.0


class Command(BaseCommand):
    help = (
        "Clean conversations by a recipe. "
        "Example: manage.py clean configs/recipes/prepare_all.yaml --input dump.json --output data/sharegpt"
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recipe", type=Path, nargs="?", metavar="RECIPE.yaml")
        parser.add_argument(
            "--input",
            nargs="+",
            default=[],
            metavar="INPUT",
            help="files of JSON, JSON lines, Parquet or Arrow, folders of datasets, hf:ORG/NAME[@REVISION], or "
            + " or ".join(What),
        )
        choice_arguments(parser)
        site_arguments(parser)
        parser.add_argument("--output", type=Path, metavar="FOLDER", help="what comes out; must not exist")
        parser.add_argument(
            "--write", choices=list(map(str, Form)), default=str(Form.MESSAGES), help="format of the output"
        )
        parser.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="parameter")
        parser.add_argument("--workers", type=positive, metavar="N", help="processes; as many as processors by default")
        parser.add_argument(
            "--celery",
            action="store_true",
            help="instead of processes here, the site's jobs on all machines that see OUTPUT",
        )
        parser.add_argument("--strict", action="store_true", help="refuse the input at the first record that is wrong")
        parser.add_argument("--dry-run", type=positive, metavar="N", help="show what happens to the first N records")
        parser.add_argument("--force", action="store_true", help="replace the output, and what a broken run has left")
        parser.add_argument("--dataset", metavar="NAME", help="store the output also as the next version of a dataset")
        licensed(parser)
        parser.add_argument(
            "--without-sources", action="store_true", help="do not keep beside the rows what they were made of"
        )
        parser.add_argument("--steps", action="store_true", help="list the steps that a recipe may name")

    def handle(self, *args: object, **options: Any) -> None:
        if options["steps"]:
            self._list_steps()
            return
        if options["recipe"] is None or not options["input"]:
            raise CommandError("give a RECIPE.yaml and --input FILE; --steps lists what a recipe may do")
        if (options["output"] is None) == (options["dry_run"] is None):
            raise CommandError("give either --output FOLDER or --dry-run N")
        if options["dataset"] is None and (options["licence"] or options["without_sources"]):
            raise CommandError("--licence and --without-sources are of a dataset: give --dataset NAME too")
        if options["dataset"] is not None and options["output"] is None:
            raise CommandError("a dry run makes no version: leave --dataset out")
        if options["celery"] and (options["output"] is None or options["workers"]):
            raise CommandError("--celery has as many processes as take jobs, and needs --output: leave the rest out")
        try:
            asked = asked_of(options)
            with site_taken(asked, options) as taken:
                self._clean(options, taken)
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _clean(self, options: dict[str, Any], taken: "list[Taken]") -> None:
        if options["dataset"] is not None:
            name_check(options["dataset"])  # before hours of work
        recipe = recipe_read(options["recipe"], dict(options["set"]))
        if options["dataset"] is not None:
            for output in recipe.outputs:
                name_check(output.name)
        inputs = inputs_given(options, "input", self.stderr.write)
        inputs += [one.input for one in taken]
        for one in inputs:
            self.stderr.write(f"{one.name if one.taken else one.path} is read as {one.shape}")
        how = Options(options["workers"] or os.cpu_count() or 1, options["strict"], Form(options["write"]))
        if options["dry_run"]:
            self._tell(recipe_try(recipe, inputs, options["dry_run"], how))
            return
        progress = _Progress(sys.stderr.isatty())
        more: dict[str, Any] = {}
        if options["celery"]:
            from apps.datasets.shared.pool import shared_pool

            more["pool_of"] = shared_pool
        if taken:
            from apps.datasets.site.lineage import taken_require

            more["settle"] = lambda: taken_require(taken)
        cleaned = recipe_run(
            recipe, inputs, options["output"], how, overwrite=options["force"], progress=progress.show, **more
        )
        progress.end()
        self._tell(cleaned)
        for made in cleaned.sets:
            self.stdout.write(f"{made.path}  {made.written.n_conversations} conversations")
        if options["dataset"] is not None:
            self._store(options, inputs, taken)

    def _store(self, options: dict[str, Any], inputs: list[Input], taken: "list[Taken]") -> None:
        from apps.datasets.services.versions import folder_store
        from apps.datasets.site.lineage import site_sources

        is_kept = not options["without_sources"]
        of_files = sources_of(inputs) if is_kept else no_sources
        # Whose the others are is kept in any case.
        sources = sources_together(of_files, site_sources(taken, is_value_kept=is_kept))
        folder = folder_read(options["output"])
        version, is_new = folder_store(options["dataset"], folder, sources=sources, licence=options["licence"])
        self.stdout.write(f"{version}  {version.n_rows} rows" if is_new else f"{version} is the same, and stays")

    def _tell(self, cleaned: Cleaned) -> None:
        self.stdout.write(report_text(cleaned.common), ending="")
        for one in cleaned.sets:
            self.stdout.write(f"\n{one.name}: {one.written.n_conversations} conversations")
            self.stdout.write(report_text(one.reports), ending="")

    def _list_steps(self) -> None:
        for name, kind in sorted(STEPS.items()):
            first, *_ = (kind.__doc__ or "").split("\n\n")
            self.stdout.write(f"{name:<18} {' '.join(first.split())}")


class _Progress:
    """On a terminal one line that changes, elsewhere a line at the end of each piece."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal, self._told_at, self._what, self._began = is_terminal, 0.0, "", 0.0

    def show(self, what: str, done: int, n_all: int) -> None:
        now = monotonic()
        if what != self._what:
            self._what, self._began = what, now
        if not self._is_terminal or now - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = now
        left = f" of {n_all}, {(now - self._began) / done * (n_all - done):.0f} s left" if n_all else ""
        sys.stderr.write(f"\r\033[K{what}: {done} chunk(s){left}")
        sys.stderr.flush()

    def end(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\033[K")


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ArgumentTypeError("write NAME=VALUE")
    return name, value
