"""Times the engine's decode steps from inside its process: the model's forward pass apart from the rest of a step.

It starts no server. Imported after the environment of torch is set.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.bandwidth import matvec_bytes_per_s
from benchmarks.models import model_folder
from benchmarks.report import Figure, middle, percentile
from gpu_worker.engine.engine import Engine, StepReport, Vocabulary
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import Runner
from gpu_worker.engine.scheduler import Limits
from gpu_worker.modeling.loading import LoadedModel, LoadOptions, load_model
from gpu_worker.modeling.source import ModelSpec

RUN_LIMIT_S = 600.0
BANDWIDTH_SHARE = 0.7
"""Of what a bare matrix-vector product reads: the aim for one stream of a model that memory bounds."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What to measure."""

    batches: list[int]
    n_steps: int
    rounds: int
    n_prompt: int
    threads: int
    dtype: str
    temperature: float


@dataclass(slots=True)
class Steps:
    """Durations of one run's steps, in seconds."""

    whole_s: list[float] = field(default_factory=list)
    forward_s: list[float] = field(default_factory=list)


def print_steps(name: str, plan: StepPlan) -> None:
    """Measure one model at each batch size and print a line per figure."""
    torch.set_num_threads(plan.threads)
    spec, options = ModelSpec(str(model_folder(name)), name), LoadOptions(torch.device("cpu"), plan.dtype)
    loaded = load_model(spec, options, lambda share: None)
    rounds: dict[int, list[Steps]] = {batch: [] for batch in plan.batches}
    bandwidths = []
    measure(loaded, 1, plan)  # warm
    for _ in range(plan.rounds):
        bandwidths.append(matvec_bytes_per_s(loaded.dtype.dtype))
        for batch in plan.batches:
            rounds[batch].append(measure(loaded, batch, plan))
    for batch, runs in rounds.items():
        for figure in _figures(f"step.{name}.{batch}", batch, runs):
            print(figure.line(), flush=True)
    if 1 in rounds:
        read = weight_bytes(loaded.model) / middle([middle(run.whole_s) for run in rounds[1]])
        target = BANDWIDTH_SHARE if name == "small" else None
        print(Figure(f"step.{name}.1.weights", read / 1e9, "GB/s", middle(bandwidths) / 1e9, target).line(), flush=True)


def _figures(name: str, batch: int, runs: list[Steps]) -> list[Figure]:
    step_s = middle([middle(run.whole_s) for run in runs])
    return [
        Figure(f"{name}.step_p50", 1000 * step_s, "ms"),
        Figure(f"{name}.step_p95", 1000 * middle([percentile(run.whole_s, 0.95) for run in runs]), "ms"),
        Figure(f"{name}.forward_p50", 1000 * middle([middle(run.forward_s) for run in runs]), "ms"),
        Figure(f"{name}.tokens_per_s", batch / step_s, "tokens/s"),
    ]


def measure(loaded: LoadedModel, batch: int, plan: StepPlan) -> Steps:
    """Let `batch` requests decode together for `n_steps` steps; only steps in which all of them decode count."""
    steps, done = Steps(), threading.Event()
    n_left, error = batch, None

    def take(report: StepReport) -> None:
        nonlocal n_left, error
        if report.n_decoded == batch and not report.n_prompt_tokens:
            steps.whole_s.append(report.duration_s)
            steps.forward_s.append(timed.last_s)
        n_left -= sum(output.is_last for output in report.outputs)
        error = next((output.error for output in report.outputs if output.error), error)
        if error or not n_left:
            done.set()

    runner = Runner(loaded.model)
    timed = _Timed(runner.decode)
    runner.decode = timed  # type: ignore[method-assign]
    # All prompts are computed in the first step, so that all requests decode in every other.
    limits = Limits(max_batch=batch, max_waiting=batch, cache_tokens=10**9, prefill_tokens=batch * plan.n_prompt)
    engine = Engine(runner, Vocabulary(loaded.decode, loaded.end_ids), limits, take, name="benchmark")
    for request in _requests(loaded, batch, plan):
        engine.submit(request)
    engine.start()
    try:
        if not done.wait(RUN_LIMIT_S):
            raise TimeoutError(f"the engine did not finish {batch} requests in {RUN_LIMIT_S:g} s")
    finally:
        engine.close(RUN_LIMIT_S)
    if error:
        raise RuntimeError("a request failed") from error
    if not steps.whole_s:
        raise RuntimeError(f"in no step did all of {batch} requests decode")
    return steps


def _requests(loaded: LoadedModel, batch: int, plan: StepPlan) -> list[Request]:
    draw = random.Random(batch)
    prompts = [[draw.randrange(3, loaded.n_vocabulary) for _ in range(plan.n_prompt)] for _ in range(batch)]
    params = SamplingParams(max_tokens=plan.n_steps + 1, temperature=plan.temperature, ignore_eos=True)
    return [Request(str(number), ids, params, time.perf_counter()) for number, ids in enumerate(prompts)]


class _Timed:
    """The runner's decode, with a clock."""

    def __init__(self, decode: Callable[[Sequence[Request]], torch.Tensor]) -> None:
        self._decode = decode
        self.last_s = 0.0

    def __call__(self, requests: Sequence[Request]) -> torch.Tensor:
        started_at = time.perf_counter()
        logits = self._decode(requests)
        self.last_s = time.perf_counter() - started_at
        return logits


def weight_bytes(model: Any) -> int:
    """Bytes that one decode step reads: all weights but the embedding's, of which it reads one row a token."""
    embedding = model.get_input_embeddings().weight
    tied = model.get_output_embeddings().weight is embedding
    read = [weight for weight in model.parameters() if tied or weight is not embedding]
    return sum(weight.numel() * weight.element_size() for weight in read)
