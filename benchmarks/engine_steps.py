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

from benchmarks.bandwidth import copy_bytes_per_s, matvec_bytes_per_s
from benchmarks.models import model_folder
from benchmarks.report import Figure, middle, percentile
from gpu_worker.engine.engine import Engine, StepReport, Vocabulary
from gpu_worker.engine.prefix import BLOCK_TOKENS
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import Runner
from gpu_worker.engine.scheduler import Chunk, Limits
from gpu_worker.modeling.loading import LoadedModel, LoadOptions, load_model
from gpu_worker.modeling.source import ModelSpec, Quantisation

RUN_LIMIT_S = 600.0
BANDWIDTH_SHARE = 0.7
"""Of what a bare matrix-vector product reads: the aim for one stream of a model that memory bounds."""

Computed = list[tuple[Chunk, torch.Tensor]]
Compute = Callable[[Sequence[Chunk]], Computed]


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


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure, and what an engine needs beside it."""

    model: Any
    runner: Runner
    n_vocabulary: int
    vocabulary: Vocabulary

    @classmethod
    def of(cls, loaded: LoadedModel) -> "Subject":
        return cls(loaded.model, loaded.runner, loaded.n_vocabulary, Vocabulary(loaded.decode, loaded.end_ids))


@dataclass(slots=True)
class Steps:
    """Durations of one run's steps, in seconds."""

    whole_s: list[float] = field(default_factory=list)
    forward_s: list[float] = field(default_factory=list)

    @property
    def overhead_s(self) -> list[float]:
        """What a step takes beside the forward pass: sampling, text, bookkeeping."""
        return [whole - forward for whole, forward in zip(self.whole_s, self.forward_s, strict=True)]


def print_steps(name: str, plan: StepPlan) -> None:
    """Measure one of the benchmarks' models on the CPU and print a line per figure."""
    subject = Subject.of(load(name, plan))
    print_step_lines(f"step.{name}", subject, plan, BANDWIDTH_SHARE if name == "small" else None)


def print_step_lines(name: str, subject: Subject, plan: StepPlan, bandwidth_target: float | None) -> None:
    """Measure at each batch size, turn about, and print a line per figure; at one stream also the bytes it reads."""
    rounds: dict[int, list[Steps]] = {batch: [] for batch in plan.batches}
    bandwidths = []
    measure(subject, 1, plan)  # warm
    for _ in range(plan.rounds):
        bandwidths.append(_bandwidth(subject.model))
        for batch in plan.batches:
            rounds[batch].append(measure(subject, batch, plan))
    for batch, runs in rounds.items():
        for figure in _figures(f"{name}.{batch}", batch, runs):
            print(figure.line(), flush=True)
    if 1 in rounds:
        read = weight_bytes(subject.model) / middle([middle(run.whole_s) for run in rounds[1]])
        most = middle(bandwidths)
        print(Figure(f"{name}.1.weights", read / 1e9, "GB/s", most / 1e9, bandwidth_target).line(), flush=True)


def _bandwidth(model: Any) -> float:
    """Bytes per second that the device reaches: by a matrix-vector product on a CPU, by a copy on a GPU."""
    if model.device.type == "cuda":
        return copy_bytes_per_s(str(model.device))
    return matvec_bytes_per_s(model.dtype)


def load(name: str, plan: StepPlan, quantisation: Quantisation | None = None) -> LoadedModel:
    """Load as the worker does, and set the threads of the process."""
    torch.set_num_threads(plan.threads)
    spec = ModelSpec(str(model_folder(name)), name, quantisation=quantisation)
    return load_model(spec, LoadOptions((torch.device("cpu"),), plan.dtype), lambda share: None)


def _figures(name: str, batch: int, runs: list[Steps]) -> list[Figure]:
    step_s = middle([middle(run.whole_s) for run in runs])
    return [
        Figure(f"{name}.step_p50", 1000 * step_s, "ms"),
        Figure(f"{name}.step_p95", 1000 * middle([percentile(run.whole_s, 0.95) for run in runs]), "ms"),
        Figure(f"{name}.forward_p50", 1000 * middle([middle(run.forward_s) for run in runs]), "ms"),
        Figure(f"{name}.overhead_p50", 1000 * middle([middle(run.overhead_s) for run in runs]), "ms"),
        Figure(f"{name}.tokens_per_s", batch / step_s, "tokens/s"),
    ]


def measure(subject: Subject, batch: int, plan: StepPlan) -> Steps:
    """Let `batch` requests decode together for `n_steps` steps; only steps in which all of them decode count."""
    steps, done = Steps(), threading.Event()
    n_left, error = batch, None

    def take(report: StepReport) -> None:
        nonlocal n_left, error
        if report.n_decoded == batch and not report.n_prompt_tokens:
            steps.whole_s.append(report.duration_s)
            steps.forward_s.append(timed.last_s())
        n_left -= sum(output.is_last for output in report.outputs)
        error = next((output.error for output in report.outputs if output.error), error)
        if error or not n_left:
            done.set()

    runner = subject.runner
    compute = runner.compute
    timed = _Timed(compute, runner.device)
    runner.compute = timed  # type: ignore[method-assign]
    # All prompts are computed in the first step, so that all requests decode in every other.
    limits = Limits(
        max_batch=batch,
        max_waiting=batch,
        cache_tokens=2 * runner.footprint([plan.n_prompt + plan.n_steps + BLOCK_TOKENS] * batch),
        prefill_tokens=batch * plan.n_prompt,
    )
    engine = Engine(runner, subject.vocabulary, limits, take, name="benchmark")
    for request in _requests(subject, batch, plan):
        engine.submit(request)
    engine.start()
    try:
        if not done.wait(RUN_LIMIT_S):
            raise TimeoutError(f"the engine did not finish {batch} requests in {RUN_LIMIT_S:g} s")
    finally:
        engine.close(RUN_LIMIT_S)
        runner.compute = compute  # type: ignore[method-assign]
    if error:
        raise RuntimeError("a request failed") from error
    if not steps.whole_s:
        raise RuntimeError(f"in no step did all of {batch} requests decode")
    return steps


def _requests(subject: Subject, batch: int, plan: StepPlan) -> list[Request]:
    draw = random.Random(batch)
    prompts = [[draw.randrange(3, subject.n_vocabulary) for _ in range(plan.n_prompt)] for _ in range(batch)]
    params = SamplingParams(max_tokens=plan.n_steps + 1, temperature=plan.temperature, ignore_eos=True)
    return [Request(str(number), ids, params, time.perf_counter()) for number, ids in enumerate(prompts)]


class _Timed:
    """The forward pass, with a clock: the GPU's own where it computes, because a call returns before it has."""

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute = compute
        self._on_gpu = device.type == "cuda"
        self._began: Any = None
        self._ended: Any = None

    def __call__(self, chunks: Sequence[Chunk]) -> Computed:
        self._began = self._now()
        computed = self._compute(chunks)
        self._ended = self._now()
        return computed

    def last_s(self) -> float:
        """Of the last call. On a GPU, to be asked once the step is over."""
        if self._on_gpu:
            self._ended.synchronize()
            return float(self._began.elapsed_time(self._ended)) / 1000
        return float(self._ended - self._began)

    def _now(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        kind: Any = torch.cuda.Event  # torch does not annotate it
        event = kind(enable_timing=True)
        event.record()
        return event


def weight_bytes(model: Any) -> int:
    """Bytes that one decode step reads: all weights but the embedding's, of which it reads one row a token."""
    embedding = model.get_input_embeddings().weight
    tied = model.get_output_embeddings().weight is embedding
    read = [weight for weight in model.parameters() if tied or weight is not embedding]
    return sum(weight.numel() * weight.element_size() for weight in read)
