"""`manage.py train` from end to end: real child processes, real kills, and what the database says afterwards."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import pytest
import torch
import yaml
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.training import services
from apps.training.child import run_child
from apps.training.errors import OutputExists, RunActive, RunFailed, RunLost
from apps.training.models import Status, TrainingRun, TrainingStep
from apps.training.progress import Progress, sparkline
from gpu_worker.training.config import TrainingConfig
from gpu_worker.training.data import prepare_data
from gpu_worker.training.messages import Message, Started, StepDone
from gpu_worker.training.trainer import Trainer
from tests.live import ROOT, wait_until
from tests.training.tiny import parsed, tiny_config

pytestmark = pytest.mark.django_db(transaction=True)


def write_config(folder: Path, **schedule: int) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_config(folder, **schedule)))
    return path


def stored_losses(run: TrainingRun) -> dict[int, float]:
    return dict(run.steps.values_list("step", "loss"))


def test_a_run_leaves_a_model_a_card_and_its_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("train", str(write_config(tmp_path, steps=9)))

    run = TrainingRun.objects.get()
    assert (run.status, run.last_step, run.total_steps, run.pid) == (Status.SUCCEEDED, 9, 9, None)
    assert set(stored_losses(run)) == set(range(1, 10))
    assert run.accuracy.keys() == {"sums", "differences", "capitals"}
    model = tmp_path / "model"
    assert {path.name for path in model.iterdir()} == {
        "README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "run.json",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    record = json.loads((model / "run.json").read_text())
    assert record["config_hash"] == run.config_hash
    assert record["losses"] == [round(loss, 4) for loss in stored_losses(run).values()]
    captured = capsys.readouterr()
    assert captured.out.strip() == str(model)
    assert "step 9/9" in captured.err
    assert "▁" in captured.err


def test_an_existing_model_is_not_overwritten_unasked(tmp_path: Path) -> None:
    kept = tmp_path / "model" / "config.json"
    kept.parent.mkdir()
    kept.write_text("mine")

    with pytest.raises(CommandError, match="is not empty"):
        call_command("train", str(write_config(tmp_path)))
    assert kept.read_text() == "mine"
    assert not TrainingRun.objects.exists()


def test_a_killed_training_process_is_reported_and_resumed_without_a_trace(tmp_path: Path) -> None:
    config = parsed(tmp_path, steps=40)
    run = services.training_run_open(config, resume=False, overwrite=False)

    def kill_at_step_10(message: Message) -> None:
        if isinstance(message, StepDone) and message.step == 10:
            assert run.pid is not None
            os.kill(run.pid, signal.SIGKILL)

    with pytest.raises(RunFailed, match="SIGKILL"):
        run_child(run, config, [], kill_at_step_10)
    run.refresh_from_db()
    assert (run.status, run.error_code, run.pid) == (Status.FAILED, "training.child_killed", None)

    again = services.training_run_open(config, resume=True, overwrite=False)
    started: list[Started] = []
    assert run_child(again, config, ["--resume"], lambda m: started.append(m) if isinstance(m, Started) else None) is (
        Status.SUCCEEDED
    )
    assert again.pk == run.pk
    assert started[0].first_step > 8
    assert stored_losses(again) == _uninterrupted(config, tmp_path / "other")


def _uninterrupted(config: TrainingConfig, folder: Path) -> dict[int, float]:
    trainer = Trainer(config, prepare_data(config), torch.device("cpu"), folder, lambda _: None, "test")
    trainer.run(config.schedule.steps)
    return dict(enumerate(trainer.losses, 1))


def test_a_killed_command_leaves_a_checkpoint_and_an_expired_lease(tmp_path: Path) -> None:
    path = write_config(tmp_path, steps=100_000)
    command = subprocess.Popen(
        [sys.executable, "manage.py", "train", str(path)], cwd=ROOT, env=_environment(), stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: TrainingStep.objects.filter(step__gt=5).exists(), what="step 5", limit_s=90)
        run = TrainingRun.objects.get()
        assert run.pid is not None
        child = psutil.Process(run.pid)
    finally:
        command.kill()
        command.wait()

    # Nobody reads any more: the child notices, saves a checkpoint and ends.
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child", limit_s=60)
    assert list((tmp_path / "checkpoints").glob("*/step-*"))
    run.refresh_from_db()
    assert run.status == Status.RUNNING

    TrainingRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    run.refresh_from_db()
    assert run.is_interrupted
    assert services.training_runs_close_interrupted() == 1
    run.refresh_from_db()
    assert (run.status, run.error_code) == (Status.FAILED, services.INTERRUPTED)


def _environment() -> dict[str, str]:
    """Ours, with the test database in place of the one it was made beside."""
    url = urlsplit(os.environ["DATABASE_URL"])
    test_url = urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}"))
    return {**os.environ, "DATABASE_URL": test_url, "DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test"}


def test_a_termination_signal_saves_a_checkpoint_and_cancels(tmp_path: Path) -> None:
    config = parsed(tmp_path, steps=100_000)
    run = services.training_run_open(config, resume=False, overwrite=False)

    def interrupt_at_step_6(message: Message) -> None:
        if isinstance(message, StepDone) and message.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    assert run_child(run, config, [], interrupt_at_step_6) is Status.CANCELLED
    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    (checkpoints,) = (tmp_path / "checkpoints").iterdir()
    assert run.last_step == max(int(path.name.removeprefix("step-")) for path in checkpoints.glob("step-*"))


def test_two_commands_cannot_train_the_same_configuration(tmp_path: Path) -> None:
    config = parsed(tmp_path)
    services.training_run_open(config, resume=False, overwrite=False)

    with pytest.raises(RunActive) as caught:
        services.training_run_open(config, resume=True, overwrite=False)
    assert 0 < int(str(caught.value.details["seconds"])) <= services.LEASE.total_seconds()
    assert TrainingRun.objects.count() == 1


def test_a_row_closed_by_somebody_else_takes_no_more_writes(tmp_path: Path) -> None:
    run = services.training_run_open(parsed(tmp_path), resume=False, overwrite=False)
    services.training_run_close(TrainingRun.objects.get(), Status.CANCELLED)

    with pytest.raises(RunLost):
        services.training_steps_record(run, [StepDone(1, 2.0, 0.1, 100.0)])
    assert not TrainingStep.objects.exists()


def test_output_is_refused_before_a_row_is_made(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x").touch()
    with pytest.raises(OutputExists):
        services.training_run_open(parsed(tmp_path), resume=False, overwrite=False)


def test_a_failure_inside_the_child_is_named(tmp_path: Path) -> None:
    config = parsed(tmp_path)
    run = services.training_run_open(config, resume=False, overwrite=False)
    with pytest.raises(RunFailed, match="no CUDA device"):
        run_child(run, config, ["--device", "cuda"], lambda _: None)
    run.refresh_from_db()
    assert (run.status, run.error_code) == (Status.FAILED, "training.device_missing")


def test_the_configuration_can_be_printed_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("train", str(write_config(tmp_path)), "--print-config", "--output", "elsewhere")

    printed = json.loads(capsys.readouterr().out)
    assert (printed["output"]["directory"], printed["optimiser"]["name"]) == ("elsewhere", "muon")
    assert printed["hash"] == parsed(tmp_path).hash
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_step_count_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(CommandError, match="--max-steps"):
        call_command("train", str(write_config(tmp_path)), f"--max-steps={number}")
    assert not TrainingRun.objects.exists()


def test_a_run_can_stop_early_and_go_on_later(tmp_path: Path) -> None:
    path = str(write_config(tmp_path, steps=8))
    call_command("train", path, "--max-steps", "5")
    assert TrainingRun.objects.get().last_step == 5
    assert json.loads((tmp_path / "model" / "run.json").read_text())["step"] == 5

    call_command("train", path, "--resume")
    run = TrainingRun.objects.get()
    assert (run.status, run.last_step, len(stored_losses(run))) == (Status.SUCCEEDED, 8, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [("name: [", "cannot be read"), ("name: 2024-02-30", "cannot be read"), ("nome: x", "did you mean 'name'")],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=words):
        call_command("train", str(path))


def test_a_sparkline_shows_the_shape_of_a_curve() -> None:
    assert sparkline([3, 2, 1]) == "█▅▁"
    assert sparkline([]) == ""
    assert sparkline([1, 1]) == "▁▁"
    assert len(sparkline(list(range(1000)), width=60)) == 60


def test_a_terminal_gets_a_bar_and_a_log_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for is_terminal in (True, False):
        progress = Progress(stream=sys.stderr, is_terminal=is_terminal, total_steps=2)
        progress.show(StepDone(2, 0.5, 0.001, 1234.0))
        written = capsys.readouterr().err
        assert ("█" in written) == is_terminal
        assert "step 2/2  loss 0.5000  1,234 tokens/s" in written
