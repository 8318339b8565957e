"""The engine: a thread that steps the running requests of one model, and the doors into it.

`submit` and `cancel` may be called from any thread; what comes of it arrives at `deliver`, once per step, from the
engine's thread. It knows no HTTP and keeps nothing of a request that has ended.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from gpu_worker.engine.detokenize import Decode, Detokenizer
from gpu_worker.engine.request import Request, RequestState, StepOutput
from gpu_worker.engine.runner import Runner
from gpu_worker.engine.sampling import BROKEN, RowSampler, sample
from gpu_worker.engine.scheduler import Limits, QueueFull, Scheduler, StepPlan
from gpu_worker.engine.stop import StopScanner
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import FinishReason, WorkerErrorCode

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the engine needs of a tokenizer."""

    decode: Decode
    end_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did, for the streams and for the metrics."""

    outputs: list[StepOutput]
    duration_s: float
    n_decoded: int
    """Requests that computed a token in the decode batch."""
    n_prompt_tokens: int
    n_running: int
    n_waiting: int


@dataclass(slots=True)
class _Running:
    """What the engine keeps for a request between its steps."""

    request: Request
    sampler: RowSampler
    detokenizer: Detokenizer
    stops: StopScanner = field(init=False)

    def __post_init__(self) -> None:
        self.stops = StopScanner(self.request.params.stop)


Deliver = Callable[[StepReport], None]


class Engine:
    """Continuous batching over one model."""

    def __init__(self, runner: Runner, vocabulary: Vocabulary, limits: Limits, deliver: Deliver, *, name: str) -> None:
        self._runner = runner
        self._vocabulary = vocabulary
        self._deliver = deliver
        self._scheduler = Scheduler(limits)
        self._changed = threading.Condition()
        self._known: dict[str, Request] = {}
        self._cancelled: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Raises: WorkerError (overloaded, shutting_down)."""
        with self._changed:
            if self._closing:
                raise WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker is shutting down")
            try:
                self._scheduler.add(request)
            except QueueFull as exc:
                raise WorkerError(WorkerErrorCode.OVERLOADED, f"the model is busy: {exc}; try again later") from exc
            self._known[request.id] = request
            self._changed.notify()

    def cancel(self, request_id: str) -> None:
        """End a request before the next step; its last output says `cancelled`. An unknown id is left alone."""
        with self._changed:
            if request_id in self._known:
                self._cancelled.add(request_id)
                self._changed.notify()

    @property
    def n_requests(self) -> int:
        """Running and waiting."""
        return len(self._known)

    def close(self, timeout_s: float) -> bool:
        """Stop after the step that runs; whatever is left ends with `shutting_down`. False if it does not stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with torch.inference_mode():
            while self._wait_for_work():
                self._step()
            self._end_all(WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker was shut down"))

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do. False: close."""
        if not self._known:
            self._runner.reset()  # an idle engine holds no memory but the weights
        with self._changed:
            while not self._closing and not self._known:
                self._changed.wait()
            return not self._closing

    def _step(self) -> None:
        started_at = time.perf_counter()
        outputs = self._end_cancelled()
        with self._changed:
            plan = self._scheduler.plan()
        try:
            outputs += self._compute(plan)
        except Exception as exc:  # whatever a model's code raises must not end the thread that serves all
            self._report(StepReport(outputs, time.perf_counter() - started_at, 0, 0, 0, 0))
            self._end_all(_as_worker_error(exc))
            return
        self._report(
            StepReport(
                outputs=outputs,
                duration_s=time.perf_counter() - started_at,
                n_decoded=len(plan.decode),
                n_prompt_tokens=sum(chunk.n_tokens for chunk in plan.prefill),
                n_running=len(self._scheduler.running),
                n_waiting=len(self._scheduler.waiting),
            )
        )

    def _compute(self, plan: StepPlan) -> list[StepOutput]:
        for request in plan.admitted:
            sampler = RowSampler(request.params, request.prompt_ids, self._runner.device)
            self._running[request.id] = _Running(request, sampler, Detokenizer(self._vocabulary.decode))
        self._runner.add(plan.admitted)
        outputs: list[StepOutput] = []
        if plan.prefill:
            outputs += self._prefill(plan)
        if plan.decode:
            outputs += self._advance(plan.decode, self._runner.decode(plan.decode))
        return outputs

    def _prefill(self, plan: StepPlan) -> list[StepOutput]:
        started_at = time.perf_counter()
        done = self._runner.prefill(plan.prefill)
        self._scheduler.pace.observe(sum(chunk.n_tokens for chunk in plan.prefill), time.perf_counter() - started_at)
        if not done:
            return []
        return self._advance([request for request, _ in done], torch.stack([logits for _, logits in done]))

    def _advance(self, requests: Sequence[Request], logits: torch.Tensor) -> list[StepOutput]:
        running = [self._running[request.id] for request in requests]
        tokens = sample(logits, [one.sampler for one in running])
        outputs = [self._output(one, token) for one, token in zip(running, tokens, strict=True)]
        for one, output in zip(running, outputs, strict=True):
            if output.is_last:
                self._forget(one.request, wipe=output.error is not None)
        return outputs

    def _output(self, one: _Running, token: int) -> StepOutput:
        """Take a token into a request: its text, and whether it was the last."""
        request = one.request
        if token == BROKEN:
            error = WorkerError(WorkerErrorCode.INTERNAL, "the model computed numbers that are not finite")
            return StepOutput(request.id, "", len(request.output_ids), error=error)
        request.state = RequestState.DECODING
        request.output_ids.append(token)
        n_tokens = len(request.output_ids)
        if token in self._vocabulary.end_ids and not request.params.ignore_eos:
            return StepOutput(request.id, _rest(one), n_tokens, FinishReason.STOP)
        text = one.stops.feed(one.detokenizer.feed(token))
        if one.stops.matched is not None:
            return StepOutput(request.id, text, n_tokens, FinishReason.STOP)
        if n_tokens >= request.params.max_tokens:
            return _at_length(one, text, n_tokens)
        return StepOutput(request.id, text, n_tokens)

    def _end_cancelled(self) -> list[StepOutput]:
        with self._changed:
            ended = [self._known[request_id] for request_id in self._cancelled if request_id in self._known]
            self._cancelled.clear()
        outputs = []
        for request in ended:
            one = self._running.get(request.id)
            text = _rest(one) if one else ""
            outputs.append(StepOutput(request.id, text, len(request.output_ids), FinishReason.CANCELLED))
            self._forget(request)
        return outputs

    def _forget(self, request: Request, *, wipe: bool = False) -> None:
        with self._changed:
            del self._known[request.id]
            self._scheduler.finish(request)
        if self._running.pop(request.id, None) is not None:
            self._runner.drop(request, wipe=wipe)

    def _end_all(self, error: WorkerError) -> None:
        """End every request that runs; on closing, also those that wait."""
        with self._changed:
            ended = [r for r in self._known.values() if self._closing or r.state is not RequestState.WAITING]
            for request in ended:
                del self._known[request.id]
                self._scheduler.finish(request)
            n_waiting = len(self._scheduler.waiting)
        self._running.clear()
        self._runner.reset()
        outputs = [StepOutput(r.id, "", len(r.output_ids), error=error) for r in ended]
        self._report(StepReport(outputs, 0.0, 0, 0, 0, n_waiting))

    def _report(self, report: StepReport) -> None:
        self._deliver(report)


def _rest(one: _Running) -> str:
    """The text that is still held back, at an end that is not a stop string."""
    text = one.stops.feed(one.detokenizer.flush())
    return text + one.stops.flush()


def _at_length(one: _Running, text: str, n_tokens: int) -> StepOutput:
    text += one.stops.feed(one.detokenizer.flush())
    if one.stops.matched is not None:
        return StepOutput(one.request.id, text, n_tokens, FinishReason.STOP)
    return StepOutput(one.request.id, text + one.stops.flush(), n_tokens, FinishReason.LENGTH)


def _as_worker_error(exc: Exception) -> WorkerError:
    if isinstance(exc, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(exc):
        logger.error("out of memory while generating; all running requests ended: %s", exc)
        return WorkerError(WorkerErrorCode.OUT_OF_MEMORY, "the worker ran out of memory; try again, or with less text")
    logger.error("a step failed; all running requests ended", exc_info=exc)
    return WorkerError(WorkerErrorCode.INTERNAL, "the model failed while generating; the worker's log has the cause")
