"""An engine over a real model, and everything that it delivers."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gpu_worker.engine.encoder_decoder import EncoderDecoderRunner
from gpu_worker.engine.engine import Engine, StepReport, Vocabulary
from gpu_worker.engine.request import Request, SamplingParams, StepOutput
from gpu_worker.engine.runner import GenericRunner, Runner
from gpu_worker.engine.scheduler import Limits
from gpu_worker.modeling.loading import LoadedModel, LoadOptions, load_model
from gpu_worker.modeling.source import ModelSpec

ROOMY = Limits(max_batch=8, max_waiting=100, cache_tokens=100_000, prefill_tokens=64)


def load(path: Path) -> LoadedModel:
    return load_model(ModelSpec(str(path), "m"), LoadOptions((torch.device("cpu"),), "float32"), lambda share: None)


class Bench:
    """An engine and everything it has delivered."""

    def __init__(
        self,
        loaded: LoadedModel,
        limits: Limits = ROOMY,
        runner: Runner | None = None,
        end_ids: frozenset[int] | None = None,
    ) -> None:
        self.outputs: dict[str, list[StepOutput]] = {}
        self.batches: list[int] = []
        self.n_prompt_tokens = 0
        self.most_held = 0
        """Tokens that the runner had room for after a step, at the most. Of a lean one it is not known."""
        self.on_output: Callable[[StepOutput], None] = lambda output: None
        self._changed = threading.Condition()
        vocabulary = Vocabulary(loaded.decode, end_ids or loaded.end_ids)
        self.runner = runner or loaded.runner
        self.engine = Engine(self.runner, vocabulary, limits, self._take, name="test")

    def _take(self, report: StepReport) -> None:
        with self._changed:
            self.batches.append(report.n_decoded)
            self.n_prompt_tokens += report.n_prompt_tokens
            if isinstance(self.runner, GenericRunner):
                self.most_held = max(self.most_held, self.runner.cache.n_tokens_held)
            elif isinstance(self.runner, EncoderDecoderRunner):
                self.most_held = max(self.most_held, self.runner.n_tokens_held)
            for output in report.outputs:
                self.outputs.setdefault(output.request_id, []).append(output)
                self.on_output(output)
            self._changed.notify_all()

    def submit(self, name: str, prompt: Sequence[int], **params: Any) -> Request:
        request = Request(name, list(prompt), SamplingParams(**{"temperature": 0, **params}), time.perf_counter())
        self.engine.submit(request)
        return request

    def wait(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), "the engine did not get there"

    def last(self, name: str) -> StepOutput:
        self.wait(lambda: bool(self.outputs.get(name)) and self.outputs[name][-1].is_last)
        return self.outputs[name][-1]

    def text(self, name: str) -> str:
        return "".join(output.text for output in self.outputs[name])


def prompts_of(lengths: Sequence[int], seed: int = 1) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(3, 512) for _ in range(length)] for length in lengths]
