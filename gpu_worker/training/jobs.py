"""One training job from configuration to model directory: prepare, resume, train, write, evaluate, publish."""

import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from gpu_worker.training import messages
from gpu_worker.training.card import write_card
from gpu_worker.training.checkpoints import latest_checkpoint
from gpu_worker.training.config import Curriculum, Device, TrainingConfig
from gpu_worker.training.data import prepare_data
from gpu_worker.training.evaluation import as_json, evaluate
from gpu_worker.training.export import partial_directory, publish, write_model
from gpu_worker.training.held_out import next_tokens
from gpu_worker.training.modeling import choose_device
from gpu_worker.training.trainer import Report, StopRequest, Trainer


class OutputExists(RuntimeError):
    """The output directory holds something, and neither --resume nor --overwrite was given."""

    code = "training.output_exists"


class CheckpointExists(RuntimeError):
    """An earlier run of this configuration left checkpoints, and neither --resume nor --overwrite was given."""

    code = "training.checkpoint_exists"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`last_step` stops earlier than the schedule; the rates stay those of the whole schedule."""

    resume: bool = False
    overwrite: bool = False
    last_step: int | None = None
    device: Device | None = None


def run_job(config: TrainingConfig, options: JobOptions, report: Report, stop: StopRequest) -> bool:
    """Train and publish a model; False when stopped by a signal, after saving a checkpoint.

    Raises: OutputExists, CheckpointExists, CheckpointMismatch, DeviceMissing, DataUnfit.
    """
    directory, checkpoints = Path(config.output.directory), checkpoint_directory(config)
    checkpoint = _prepare_directories(directory, checkpoints, options)
    device = choose_device(options.device or config.compute.device)
    report(messages.Preparing("encoding the training conversations"))
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json")) if checkpoint else None
    data = prepare_data(config, tokenizer)
    if n_cut := data.n_longer(config.model.context_length):
        report(messages.Noted(_cut_words(n_cut, len(data.documents), config.model.context_length)))
    trainer = Trainer(config, data, device, checkpoints, report, code_version(), stop)
    if checkpoint:
        trainer.resume(checkpoint)
    last_step = min(options.last_step or config.schedule.steps, config.schedule.steps)
    if not trainer.run(last_step):
        report(messages.Stopped(trainer.step))
        return False
    _publish(trainer, directory, report)
    return True


def _cut_words(n_cut: int, n_all: int, n_tokens: int) -> str:
    return (
        f"{n_cut:,} of {n_all:,} conversations are longer than {n_tokens:,} tokens, and are learned up to there: raise "
        "model.context_length, or let the step split_long of manage.py clean make them shorter"
    )


def checkpoint_directory(config: TrainingConfig) -> Path:
    return Path(config.output.checkpoint_directory) / f"{config.name}-{config.hash[:12]}"


def _prepare_directories(directory: Path, checkpoints: Path, options: JobOptions) -> Path | None:
    """The checkpoint to start from, if any; refuses to overwrite what it was not told to."""
    if options.resume:
        return latest_checkpoint(checkpoints)
    if options.overwrite:
        shutil.rmtree(checkpoints, ignore_errors=True)
        return None
    if directory.exists() and any(directory.iterdir()):
        raise OutputExists(f"{directory} is not empty; use --overwrite, --resume or another --output")
    if latest_checkpoint(checkpoints):
        raise CheckpointExists(f"{checkpoints} holds an unfinished run; use --resume or --overwrite")
    return None


def _publish(trainer: Trainer, directory: Path, report: Report) -> None:
    config = trainer.config
    partial = partial_directory(directory)
    write_model(partial, trainer.model, trainer.data.tokenizer, config)
    report(messages.Preparing("measuring it by what it has not learned"))
    record, results = measure(partial, _record(trainer), n_questions=config.output.evaluation_questions)
    write_card(partial, record)
    publish(partial, directory)
    report(messages.Evaluated(results))
    report(messages.Finished(trainer.step, str(directory)))


def measure(directory: Path, record: dict[str, Any], *, n_questions: int) -> tuple[dict[str, Any], dict[str, float]]:
    """The record of the run with what was found in it, and the accuracies by task."""
    data = record["config"]["data"]
    if data["curriculum"] != Curriculum.NONE:
        results = evaluate(directory, n_questions=n_questions)
        accuracies = {task: result.accuracy for task, result in results.items()}
        return record | {"evaluation": as_json(results)}, accuracies
    if not data["test_files"]:
        return record, {}
    found = next_tokens(directory, data["test_files"], n_most=n_questions, seed=record["seed"])
    return record | {"next_tokens": asdict(found)}, {"next token": found.accuracy}


def _record(trainer: Trainer) -> dict[str, Any]:
    config = trainer.config
    files = trainer.data.files
    return {
        "config": config.as_dict(),
        "config_hash": config.hash,
        "data_hash": trainer.data.hash,
        **({"files": files, "n_conversations": len(trainer.data.documents)} if files else {}),
        **({"n_cut": n_cut} if (n_cut := trainer.data.n_longer(config.model.context_length)) else {}),
        "code_version": trainer.code_version,
        "torch_version": torch.__version__,
        "transformers_version": transformers.__version__,
        "seed": trainer.config.seed,
        "step": trainer.step,
        "n_parameters": sum(p.numel() for p in trainer.model.parameters()),
        "n_training_tokens": sum(trainer.data.lengths),
        "device": _device_words(trainer.device),
        "dtype": str(trainer.dtype).removeprefix("torch."),
        "seconds": round(trainer.seconds, 1),
        "losses": [round(loss, 4) for loss in trainer.losses],
    }


def _device_words(device: torch.device) -> str:
    if device.type != "cpu":
        return str(torch.cuda.get_device_name(device))
    n_threads = torch.get_num_threads()
    return "one processor thread" if n_threads == 1 else f"{n_threads} processor threads"


def code_version() -> str:
    """The Git commit of this source tree, with '-dirty' for local changes; empty outside a checkout."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
