"""The GPU benchmark on a machine that has none."""

import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.engine_steps import StepPlan, Subject, print_step_lines, weight_bytes
from gpu_worker.engine.engine import Vocabulary
from gpu_worker.modeling.runners import build_runner

SHAPE = gpu.SHAPE | {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}


def test_without_cuda_it_refuses_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert gpu.main() == 1
    assert "finds no CUDA device" in capsys.readouterr().err


def test_its_model_is_bfloat16_and_reads_tied_weights_once() -> None:
    model = gpu.random_model(SHAPE, torch.device("cpu"))

    assert model.dtype is torch.bfloat16
    assert torch.get_default_dtype() is torch.float32
    assert weight_bytes(model) == 2 * model.num_parameters()


def test_it_prints_speed_and_overhead_of_each_size_and_the_bandwidth_at_one_stream(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = gpu.random_model(SHAPE, torch.device("cpu")).float()
    plan = StepPlan([1, 3], n_steps=4, rounds=1, n_prompt=5, threads=1, dtype="float32", temperature=0.7)

    vocabulary = Vocabulary(lambda ids: "a " * len(ids), frozenset())
    print_step_lines("t", Subject(model, build_runner(model, "t", free_bytes=0), 512, vocabulary), plan, 0.6)

    lines = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    kinds = ("step_p50", "step_p95", "forward_p50", "overhead_p50", "tokens_per_s")
    assert set(lines) == {f"t.{batch}.{kind}" for batch in (1, 3) for kind in kinds} | {"t.1.weights"}
    assert lines["t.3.tokens_per_s"]["value"] == pytest.approx(3000 / lines["t.3.step_p50"]["value"], rel=0.05)
    assert 0 < lines["t.1.overhead_p50"]["value"] < lines["t.1.step_p95"]["value"]
    assert (lines["t.1.weights"]["target"], lines["t.1.weights"]["holds"]) == (0.6, False)
