"""`manage.py train CONFIG.yaml`: train a model in a child process and keep its progress in the database."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import SiteError
from apps.training import services
from apps.training.child import run_child
from apps.training.models import Status
from apps.training.own_data import data_check
from apps.training.progress import Progress
from gpu_worker.training.config import Device, TrainingConfig

_EXIT_STOPPED = 130


class Command(BaseCommand):
    help = "Train a model from a configuration file. Example: manage.py train configs/demo-small.yaml --overwrite"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
        parser.add_argument("--output", metavar="DIR", help="write the model here instead of output.directory")
        parser.add_argument("--resume", action="store_true", help="continue from the newest checkpoint, if any")
        parser.add_argument("--overwrite", action="store_true", help="start anew and replace the output directory")
        parser.add_argument("--max-steps", type=_positive, metavar="N", help="stop after step N and write the model")
        parser.add_argument("--device", choices=[str(d) for d in Device], help="instead of compute.device")
        parser.add_argument("--print-config", action="store_true", help="print the complete configuration and exit")

    def handle(self, *args: object, **options: object) -> None:
        if options["resume"] and options["overwrite"]:
            raise CommandError("--resume continues and --overwrite starts anew: choose one")
        try:
            output = str(options["output"]) if options["output"] else None
            config = services.config_read(Path(str(options["config"])), output=output)
            if options["print_config"]:
                self.stdout.write(json.dumps({**config.as_dict(), "hash": config.hash}, indent=2))
                return
            self._train(config, options)
        except SiteError as exc:
            raise CommandError(exc.message) from exc

    def _train(self, config: TrainingConfig, options: dict[str, object]) -> None:
        data_check(config)
        run = services.training_run_open(config, resume=bool(options["resume"]), overwrite=bool(options["overwrite"]))
        # Django's own wrapper hides whether the stream is a terminal.
        progress = Progress(stream=sys.stderr, is_terminal=sys.stderr.isatty())
        try:
            status = run_child(run, config, _child_arguments(options), progress.show)
        finally:
            if curve := progress.curve():
                self.stderr.write(curve)
        if status is Status.CANCELLED:
            sys.exit(_EXIT_STOPPED)
        self.stdout.write(config.output.directory)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be at least 1")
    return number


def _child_arguments(options: dict[str, object]) -> list[str]:
    arguments = [flag for flag in ("--resume", "--overwrite") if options[flag.removeprefix("--")]]
    if options["max_steps"] is not None:
        arguments += ["--max-steps", str(options["max_steps"])]
    if options["device"] is not None:
        arguments += ["--device", str(options["device"])]
    return arguments
