"""`manage.py launch`: start the whole site on this machine. A thin door to `fastchat_site.embedded.launch`."""

import os
from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from fastchat_site.embedded.errors import LaunchError
from fastchat_site.embedded.launch import launch
from fastchat_site.embedded.options import LaunchOptions, parse_env, parse_models


class Command(BaseCommand):
    help = "Start the site on this machine: database, job queue, web server, jobs and one worker per model."
    requires_system_checks = []  # they may ask the database, which is not there yet

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="PATH_OR_HUB_ID[=NAME]",
            help="model to serve, a folder or a hub id; once per model (the two demo models)",
        )
        parser.add_argument("--no-workers", action="store_true", help="serve no model here: the workers run elsewhere")
        parser.add_argument("--device", default="", help="device for the workers, such as cpu or cuda:0 (they choose)")
        parser.add_argument("--data-dir", default="", help="folder for all data (FASTCHAT_DATA_DIR, else .data here)")
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="PROCESS:KEY=VALUE",
            help="environment variable for one process (web, jobs, worker-NAME, …)",
        )
        parser.add_argument("--no-jobs", action="store_true", help="run no job processing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            models = parse_models(options["model"], none=options["no_workers"])
            wishes = LaunchOptions(
                host=options["host"],
                port=options["port"],
                data_dir=options["data_dir"],
                device=options["device"],
                jobs=not options["no_jobs"],
                collect_static=not settings.SERVES_STATIC_FILES,
                models=models,
                env=parse_env(options["env"], models),
            )
            launch(wishes, environ=os.environ, say=self._say)
        except LaunchError as exc:
            raise CommandError(str(exc)) from exc

    def _say(self, name: str, words: str) -> None:
        try:
            self.stdout.write(f"{name:<16} {words}")
            self.stdout.flush()
        except OSError:
            # The terminal or the reader of our output is gone. The site runs on, and `launch.log` has the same words.
            self.stdout = OutputWrapper(StringIO())
