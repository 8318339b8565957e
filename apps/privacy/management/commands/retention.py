"""`manage.py retention [--dry-run]`: forget what is over, or say what that would be."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from apps.privacy.models import Kept
from apps.privacy.services.retention import retention_due, retention_run


class Command(BaseCommand):
    help = "Forget what is kept longer than the admin's retention periods and the settings say, as the jobs do hourly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print how many of each kind it would be")

    def handle(self, *args: object, **options: object) -> None:
        if options["dry_run"]:
            due = retention_due()
            for one in due:
                self.stdout.write(f"{one.count()}\t{one.retained.kind.label}\t{one.period}")
            is_due = {one.retained.kind for one in due}
            for kind in Kept:
                if kind not in is_due:
                    self.stdout.write(f"-\t{kind.label}\tkept")
            return
        for kind, n_rows in retention_run(slice_s=float("inf")).items():
            self.stdout.write(f"{n_rows}\t{kind.label}")
