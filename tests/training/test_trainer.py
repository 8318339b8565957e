"""The training loop itself: an interrupted run continues exactly, and its checkpoints hold no pickle."""

from pathlib import Path

import pytest
import torch

from gpu_worker.training.checkpoints import CheckpointMismatch, latest_checkpoint
from gpu_worker.training.config import ComputeDtype, ScheduleSection, TrainingConfig
from gpu_worker.training.data import TrainingData, prepare_data
from gpu_worker.training.messages import Message, StepDone
from gpu_worker.training.modeling import choose_dtype
from gpu_worker.training.optimisers import learning_rate_factor
from gpu_worker.training.trainer import StopRequest, Trainer
from tests.training.tiny import parsed


def make_trainer(config: TrainingConfig, data: TrainingData, folder: Path) -> tuple[Trainer, list[Message]]:
    heard: list[Message] = []
    trainer = Trainer(config, data, torch.device("cpu"), folder, heard.append, "test", StopRequest())
    return trainer, heard


def losses(heard: list[Message]) -> list[float]:
    return [message.loss for message in heard if isinstance(message, StepDone)]


def test_a_resumed_run_has_the_loss_curve_of_an_uninterrupted_one(tmp_path: Path) -> None:
    config = parsed(tmp_path, steps=14)
    data = prepare_data(config)
    whole, heard_whole = make_trainer(config, data, tmp_path / "whole")
    assert whole.run(14)

    first, heard_first = make_trainer(config, data, tmp_path / "parts")
    first.run(7)
    checkpoint = latest_checkpoint(tmp_path / "parts")
    assert checkpoint is not None
    second, heard_second = make_trainer(config, data, tmp_path / "parts")
    second.resume(checkpoint)
    second.run(14)

    assert losses(heard_first) + losses(heard_second) == losses(heard_whole) == whole.losses == second.losses
    assert whole.losses[-1] < whole.losses[0] - 0.3
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_stop_request_ends_the_run_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    config = parsed(tmp_path)
    trainer, heard = make_trainer(config, prepare_data(config), tmp_path)

    def stop_at_step_5(message: Message) -> None:
        heard.append(message)
        if isinstance(message, StepDone) and message.step == 5:
            trainer.stop.request()

    trainer.report = stop_at_step_5
    assert trainer.run(40) is False
    assert (latest_checkpoint(tmp_path) or Path()).name == "step-000005"


def test_checkpoints_hold_no_pickle_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    config = parsed(tmp_path, steps=12)
    trainer, _ = make_trainer(config, prepare_data(config), tmp_path / "c")
    trainer.run(12)

    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["step-000008", "step-000012"]
    files = sorted(path.name for path in (tmp_path / "c" / "step-000012").iterdir())
    assert files == ["model.safetensors", "optimiser.safetensors", "state.json", "tokenizer.json"]


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".step-000009.partial").mkdir()
    (tmp_path / "step-000002").mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000002"
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    config = parsed(tmp_path, steps=4)
    data = prepare_data(config)
    trainer, _ = make_trainer(config, data, tmp_path / "c")
    trainer.run(2)
    other, _ = make_trainer(parsed(tmp_path, steps=5), data, tmp_path / "c")

    with pytest.raises(CheckpointMismatch):
        other.resume(latest_checkpoint(tmp_path / "c") or Path())


def test_the_faster_precision_is_found_by_trying_both() -> None:
    tried: list[torch.dtype] = []
    spin = {torch.float32: 1, torch.bfloat16: 200}

    def step(dtype: torch.dtype) -> None:
        tried.append(dtype)
        for _ in range(spin[dtype]):
            torch.randn(200, 200).sum()

    assert choose_dtype(ComputeDtype.AUTO, step) is torch.float32
    assert set(tried) == {torch.float32, torch.bfloat16}
    assert choose_dtype(ComputeDtype.BFLOAT16, step) is torch.bfloat16


def test_the_learning_rate_rises_and_falls_to_its_final_fraction() -> None:
    schedule = ScheduleSection(steps=100, warmup_steps=10, final_fraction=0.1)
    factors = [learning_rate_factor(step, schedule) for step in range(1, 101)]

    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert max(factors) <= 1
    assert factors[-1] == pytest.approx(0.1)
