"""`manage.py dataset`: is a file fit to train on, and what there is of datasets and their versions."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import SiteError
from apps.datasets.checking import Checked, faults_of
from apps.datasets.management.inputs import choice_arguments, inputs_given
from apps.datasets.management.verbs.looking import LOOKING, looking_arguments
from apps.datasets.management.verbs.making import MAKING, making_arguments
from apps.datasets.management.verbs.releasing import RELEASING, releasing_arguments

_SHOWN = 20


class Command(BaseCommand):
    help = "Look after datasets. Example: manage.py dataset check data/sharegpt/train.jsonl"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="name the first fault of each record, by line and field; not 0 if any")
        check.add_argument("files", nargs="+", metavar="INPUT", help="a file, a folder of a dataset, or hf:ORG/NAME")
        choice_arguments(check)
        check.add_argument("--all", action="store_true", help=f"show more than the first {_SHOWN} faults of a file")
        looking_arguments(verbs)
        making_arguments(verbs)
        releasing_arguments(verbs)

    def handle(self, *args: object, **options: Any) -> None:
        verb = {"check": check_lines, **LOOKING, **MAKING, **RELEASING}[options["verb"]]
        try:
            for line in verb(options):
                self.stdout.write(line)
        except SiteError as exc:
            raise CommandError(exc.message) from exc


def check_lines(options: dict[str, Any]) -> Iterator[str]:
    """Raises, at the end: CommandError, if there was a fault."""
    n_wrong = 0
    for one in inputs_given(options, "files"):
        checked = Checked()
        for number, fault in enumerate(faults_of(one.path, one.shape, checked, one.names)):
            if options["all"] or number < _SHOWN:
                yield str(fault)
            elif number == _SHOWN:
                yield "... --all shows the others"
        yield f"{one.path}: {checked.n_records} records of {one.shape}, {checked.n_wrong} with a fault"
        n_wrong += checked.n_wrong
    if n_wrong:
        raise CommandError(f"{n_wrong} record(s) cannot be trained on as they are")
