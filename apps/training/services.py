"""All writes and rules of training runs: read a configuration, open a run, follow it, close it.

Starts no process (see `child`) and prints nothing (see `progress`).
"""

import dataclasses
from datetime import timedelta
from pathlib import Path

import yaml
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core.texts import yaml_read
from apps.training.errors import ConfigInvalid, ConfigUnreadable, OutputExists, RunActive, RunLost
from apps.training.models import Status as RunStatus
from apps.training.models import TrainingRun, TrainingStep
from gpu_worker.training.config import ConfigError, TrainingConfig, parse_config
from gpu_worker.training.messages import Evaluated, Started, StepDone

LEASE = timedelta(seconds=30)
INTERRUPTED = "training.interrupted"


def config_read(path: Path, *, output: str | None = None) -> TrainingConfig:
    """A checked configuration from a YAML file, with the output directory replaced if one is given.

    Raises: ConfigUnreadable, ConfigInvalid.
    """
    try:
        raw = yaml_read(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigUnreadable(path=path, reason=exc) from exc
    if output is not None and isinstance(raw, dict):
        section = raw.get("output") or {}
        raw = {**raw, "output": {**section, "directory": output} if isinstance(section, dict) else section}
    try:
        return parse_config(raw)
    except ConfigError as exc:
        raise ConfigInvalid(reason=exc) from exc


def training_run_open(config: TrainingConfig, *, resume: bool, overwrite: bool) -> TrainingRun:
    """A row for this run, active and leased: the interrupted one with `resume`, else a new one.

    Raises:
        OutputExists: the directory holds something and neither flag was given.
        RunActive: another command trains the same configuration.
    """
    directory = Path(config.output.directory)
    if not (resume or overwrite) and directory.is_dir() and any(directory.iterdir()):
        raise OutputExists(directory=directory)
    training_runs_close_interrupted()
    try:
        with transaction.atomic():
            return (_reopen(config) if resume else None) or _create(config)
    except IntegrityError as exc:
        active = TrainingRun.objects.active().filter(config_hash=config.hash).first()
        seconds = (active.lease_expires_at - timezone.now()).total_seconds() if active else 0
        raise RunActive(name=config.name, seconds=max(1, round(seconds))) from exc


def _create(config: TrainingConfig) -> TrainingRun:
    return TrainingRun.objects.create(
        name=config.name,
        method=config.method.value,
        config=config.as_dict(),
        config_hash=config.hash,
        output_directory=config.output.directory,
        lease_expires_at=timezone.now() + LEASE,
        total_steps=config.schedule.steps,
    )


def _reopen(config: TrainingConfig) -> TrainingRun | None:
    closed = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SUCCEEDED)
    run = TrainingRun.objects.filter(config_hash=config.hash, status__in=closed).first()
    if run is None:
        return None
    run.status, run.pid, run.finished_at = RunStatus.QUEUED, None, None
    run.error_code = run.error_message = ""
    run.config, run.output_directory = config.as_dict(), config.output.directory
    run.lease_expires_at = timezone.now() + LEASE
    run.save()
    return run


def training_runs_close_interrupted() -> int:
    """Mark active runs whose lease ran out as failed; returns how many."""
    return TrainingRun.objects.interrupted().update(
        status=RunStatus.FAILED,
        finished_at=timezone.now(),
        pid=None,
        error_code=INTERRUPTED,
        error_message="The command that followed this run ended without a word. Continue with: train --resume",
    )


def training_run_spawned(run: TrainingRun, pid: int) -> None:
    """The training process exists. Raises RunLost."""
    _update_active(run, status=RunStatus.RUNNING, pid=pid, started_at=run.started_at or timezone.now())


def training_run_started(run: TrainingRun, message: Started) -> None:
    """The first step is about to run. Raises RunLost."""
    # What a killed command had stored beyond the checkpoint will be computed again.
    run.steps.filter(step__gte=message.first_step).delete()
    _update_active(
        run,
        last_step=message.first_step - 1,
        total_steps=message.total_steps,
        device=message.device,
        dtype=message.dtype,
        data_hash=message.data_hash,
        code_version=message.code_version[:80],
    )


def training_steps_record(run: TrainingRun, steps: list[StepDone]) -> None:
    """Store points of the loss curve, in order, and renew the lease. Raises RunLost."""
    last = steps[-1]
    with transaction.atomic():
        _update_active(run, last_step=last.step, last_loss=last.loss)
        TrainingStep.objects.bulk_create(
            [TrainingStep(run=run, **dataclasses.asdict(step)) for step in steps],
            update_conflicts=True,
            unique_fields=["run", "step"],
            update_fields=["loss", "learning_rate", "tokens_per_s"],
        )


def training_run_renew(run: TrainingRun) -> None:
    """Say that somebody still follows this run. Raises RunLost."""
    _update_active(run)


def training_run_evaluated(run: TrainingRun, message: Evaluated) -> None:
    _update_active(run, accuracy=message.accuracy)


def training_run_close(run: TrainingRun, status: RunStatus, *, code: str = "", message: str = "") -> None:
    """The end of a run, whichever it is. Raises RunLost when somebody closed it before."""
    _update_active(
        run, status=status, finished_at=timezone.now(), pid=None, error_code=code, error_message=message[:2000]
    )


def _update_active(run: TrainingRun, **changes: object) -> None:
    """Write to the row while it is ours, and renew its lease with every write."""
    changes.setdefault("lease_expires_at", timezone.now() + LEASE)
    if TrainingRun.objects.active().filter(pk=run.pk).update(**changes) == 0:
        raise RunLost(name=run.name)
    for name, value in changes.items():
        setattr(run, name, value)
