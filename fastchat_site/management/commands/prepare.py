"""`manage.py prepare`: what a launch needs before it serves, in one process: each start of Django takes seconds."""

from argparse import ArgumentParser

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Bring the tables up to date and register workers of this machine, as `launch` does before it serves."
    requires_system_checks = []  # they load every page and endpoint, which the web process is about to do

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "workers", nargs="*", metavar="UUID", help="their ids; the secrets are in FASTCHAT_WORKER_SECRETS"
        )

    def handle(self, *args: object, **options: object) -> None:
        call_command("migrate", "--noinput")
        if ids := options["workers"]:
            assert isinstance(ids, list)  # noqa: S101  # narrows the type
            call_command("workers", "register", "--allow", "127.0.0.1", *ids)
