"""`manage.py dataset check FILE`: is a file of conversations fit to train on?"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import SiteError
from apps.datasets.checking import Checked, faults_of
from apps.datasets.formats.files import shape_find
from apps.datasets.formats.shapes import Shape

_SHOWN = 20


class Command(BaseCommand):
    help = "Look at files of conversations. Example: manage.py dataset check data/sharegpt/train.jsonl"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="name every fault by line and field; not 0 if there is one")
        check.add_argument("files", type=Path, nargs="+", metavar="FILE")
        check.add_argument("--format", choices=list(map(str, Shape)), help="of the files; found out by default")
        check.add_argument("--all", action="store_true", help=f"show more than the first {_SHOWN} faults of a file")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            n_wrong = sum(self._check(path, options) for path in options["files"])
        except SiteError as exc:
            raise CommandError(exc.message) from exc
        if n_wrong:
            raise CommandError(f"{n_wrong} record(s) cannot be trained on as they are")

    def _check(self, path: Path, options: dict[str, Any]) -> int:
        shape = Shape(options["format"]) if options["format"] else shape_find(path)
        checked = Checked()
        for number, fault in enumerate(faults_of(path, shape, checked)):
            if options["all"] or number < _SHOWN:
                self.stdout.write(str(fault))
            elif number == _SHOWN:
                self.stdout.write("... --all shows the others")
        self.stdout.write(f"{path}: {checked.n_records} records of {shape}, {checked.n_wrong} with a fault")
        return checked.n_wrong
