"""`python -m gpu_worker train`: run one configuration, or measure a model. JSON on standard output, nothing else.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by a signal after saving a checkpoint.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from gpu_worker.training import messages
from gpu_worker.training.config import ConfigError, Device, TrainingConfig, parse_config

EXIT_STOPPED = 130


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.evaluate is not None:
        return _evaluate(arguments.evaluate, arguments.questions, write=arguments.write_card)
    if arguments.config is None:
        _parser().error("a configuration file or --evaluate is required")
    return _train(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gpu_worker train", description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.json")
    parser.add_argument("--resume", action="store_true", help="continue from the newest checkpoint, if there is one")
    parser.add_argument("--overwrite", action="store_true", help="start anew and replace the output directory")
    parser.add_argument("--max-steps", type=_positive, metavar="N", help="stop after step N and write the model")
    parser.add_argument("--device", type=Device, choices=list(Device), help="instead of the configured device")
    parser.add_argument("--evaluate", type=Path, metavar="MODEL_DIR", help="print held-out accuracy and exit")
    parser.add_argument("--questions", type=_positive, default=400, metavar="N", help="per task (default 400)")
    parser.add_argument("--write-card", action="store_true", help="with --evaluate: write README.md and run.json again")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _evaluate(directory: Path, n_questions: int, *, write: bool) -> int:
    from gpu_worker.training.card import RECORD, read_record, write_card
    from gpu_worker.training.jobs import measure
    from gpu_worker.training.own_files import DataUnfit

    if not (directory / "config.json").is_file():
        sys.stderr.write(f"{directory} holds no model (no config.json)\n")
        return 1
    if write and not (directory / RECORD).is_file():
        sys.stderr.write(f"{directory} holds no {RECORD} of a training run, from which a card could be written\n")
        return 1
    try:
        record = measure(directory, read_record(directory), n_questions=n_questions)[0]
    except (DataUnfit, FileNotFoundError) as exc:
        sys.stderr.write(f"{directory} cannot be measured: {exc}\n")
        return 1
    found = record.get("evaluation") or record.get("next_tokens")
    if found is None:
        sys.stderr.write(f"{directory} names no data.test_files to be measured by\n")
        return 1
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if write:
        write_card(directory, record)
    return 0


def _train(arguments: argparse.Namespace) -> int:
    try:
        config = _read_config(arguments.config)
    except ConfigError as exc:
        _Reporter().report(messages.Failed(exc.code, str(exc)))
        return 1
    # Imported late: --help and a wrong configuration answer without loading torch.
    from gpu_worker.training.jobs import JobOptions, run_job
    from gpu_worker.training.trainer import StopRequest

    stop = StopRequest()
    reporter = _Reporter(on_broken_pipe=stop.request)
    _on_signals(stop.request)
    options = JobOptions(
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        last_step=arguments.max_steps,
        device=arguments.device,
    )
    try:
        return 0 if run_job(config, options, reporter.report, stop) else EXIT_STOPPED
    except (RuntimeError, OSError, ValueError) as exc:
        reporter.report(messages.Failed(getattr(exc, "code", "training.crashed"), f"{type(exc).__name__}: {exc}"))
        if hasattr(exc, "code"):
            return 1
        raise


def _read_config(path: Path) -> TrainingConfig:
    try:
        return parse_config(json.loads(path.read_text()))
    except (OSError, json.JSONDecodeError) as exc:
        raise ConfigError("", f"{path} cannot be read as JSON: {exc}") from exc


def _on_signals(stop: Callable[[], None]) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


class _Reporter:
    """Writes messages as lines. When nobody reads them any more, asks the run to stop instead of dying half-way."""

    def __init__(self, on_broken_pipe: Callable[[], None] | None = None) -> None:
        self._on_broken_pipe = on_broken_pipe

    def report(self, message: messages.Message) -> None:
        try:
            sys.stdout.write(messages.encode_message(message) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Later writes, and Python's own flush at exit, go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self._on_broken_pipe is not None:
                self._on_broken_pipe()
