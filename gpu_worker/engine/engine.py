"""The engine: a thread that steps the running requests of one model, and the doors into it.

`submit` and `cancel` may be called from any thread; what comes of it arrives at `deliver`, once per step, from the
engine's thread. It knows no HTTP and keeps nothing of a request that has ended.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from gpu_worker.engine.detokenize import Decode, Detokenizer
from gpu_worker.engine.logprobs import LogprobQueue, TokenLogprobs
from gpu_worker.engine.prefix import BLOCK_TOKENS, PrefixStore
from gpu_worker.engine.request import Request, RequestState, SamplingParams, StepOutput
from gpu_worker.engine.runner import Runner
from gpu_worker.engine.sampling import BROKEN, RowSampler, Sampler, score
from gpu_worker.engine.scheduler import Chunk, Limits, QueueFull, Scheduler, Share, StepPlan
from gpu_worker.engine.stop import StopScanner
from gpu_worker.errors import WorkerError, unsupported
from gpu_worker.protocol import FinishReason, WorkerErrorCode

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the engine needs of a tokenizer."""

    decode: Decode
    end_ids: frozenset[int]
    decode_marked: Decode | None = None
    """Keeps the special tokens that mark tool calls; None for a model that has none."""

    def decoder(self, params: SamplingParams) -> Decode:
        return self.decode_marked if params.shows_markers and self.decode_marked is not None else self.decode


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
    logprobs: LogprobQueue = field(default_factory=LogprobQueue)
    prompt_logprobs: list[TokenLogprobs] = field(default_factory=list)
    """Until the first output takes them along."""
    has_put_out: bool = False

    def __post_init__(self) -> None:
        self.stops = StopScanner(self.request.params.stop)


Deliver = Callable[[StepReport], None]


class Engine:
    """Continuous batching over one model."""

    def __init__(self, runner: Runner, vocabulary: Vocabulary, limits: Limits, deliver: Deliver, *, name: str) -> None:
        self._runner = runner
        self._vocabulary = vocabulary
        self._deliver = deliver
        self._prefixes = PrefixStore()
        self._is_continued = not runner.start_ids
        """Answers continue their prompts, whose beginnings can then be computed, scored and reused by themselves."""
        self._scheduler = Scheduler(limits, runner.footprint, self._prefixes, splits_prompts=self._is_continued)
        self._sampler = Sampler()
        self._changed = threading.Condition()
        self._known: dict[str, Request] = {}
        self._cancelled: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, *requests: Request) -> None:
        """Queue all of them or none. Raises: WorkerError (overloaded, shutting_down, unsupported_parameter)."""
        if not self._is_continued and any(request.params.prompt_logprobs is not None for request in requests):
            raise unsupported("echo", "this model's encoder reads the prompt and gives it no log probabilities")
        with self._changed:
            if self._closing:
                raise WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker is shutting down")
            try:
                for request in requests:
                    self._scheduler.add(request)
            except QueueFull as exc:
                for request in requests:
                    self._scheduler.finish(request)
                raise WorkerError(WorkerErrorCode.OVERLOADED, f"the model is busy: {exc}; try again later") from exc
            self._known.update({request.id: request for request in requests})
            self._changed.notify()

    def cancel(self, *request_ids: str) -> None:
        """End requests before the next step; their last output says `cancelled`. An unknown id is left alone."""
        with self._changed:
            self._cancelled.update(self._known.keys() & set(request_ids))
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
            self._runner.reset()  # an idle engine holds no memory but the weights and the stored prefixes
        with self._changed:
            while not self._closing and not self._known:
                self._changed.wait()
            return not self._closing

    def _step(self) -> None:
        started_at = time.perf_counter()
        outputs = self._end_cancelled()
        try:
            with self._changed:
                plan = self._scheduler.plan()
            self._place(plan)
            outputs += self._compute(plan)
        except Exception as exc:  # whatever a model's code raises must not end the thread that serves all
            self._report(StepReport(outputs, time.perf_counter() - started_at, 0, 0, 0, 0))
            self._end_all(as_worker_error(exc))
            return
        duration_s = time.perf_counter() - started_at
        if not plan.shared:  # copying would look like slow computing
            self._scheduler.pace.observe(plan.n_prompt_tokens, len(plan.decode), duration_s)
        self._report(
            StepReport(
                outputs=outputs,
                duration_s=duration_s,
                n_decoded=len(plan.decode),
                n_prompt_tokens=plan.n_prompt_tokens,
                n_running=len(self._scheduler.running),
                n_waiting=self._scheduler.n_waiting,
            )
        )

    def _place(self, plan: StepPlan) -> None:
        """Take rows from the pre-empted, give them to the admitted, and copy what others have computed of them."""
        for request in plan.preempted:
            self._runner.drop(request)
            self._running[request.id].prompt_logprobs.clear()  # they are computed again
        for request in plan.admitted:
            if request.id not in self._running:
                # What a repetition penalty counts is the text that the answer continues.
                before = self._runner.start_ids or request.prompt_ids
                sampler = RowSampler(request.params, before, self._vocabulary.end_ids)
                detokenizer = Detokenizer(self._vocabulary.decoder(request.params))
                self._running[request.id] = _Running(request, sampler, detokenizer)
        self._runner.add(plan.admitted)
        for request in plan.admitted:
            for index, block in enumerate(plan.reused[request.id]):
                self._runner.restore(request, index * BLOCK_TOKENS, block)
        for share in plan.shared:
            self._copy(share)

    def _copy(self, share: Share) -> None:
        """In pieces, so that a long prompt is not held once more on its way."""
        end = share.start + share.n_tokens
        for start in range(share.start, end, BLOCK_TOKENS):
            block = self._runner.export(share.giver, start, min(BLOCK_TOKENS, end - start))
            self._runner.restore(share.taker, start, block)

    def _compute(self, plan: StepPlan) -> list[StepOutput]:
        computed, outputs = self._computed(plan.chunks)
        for chunk, logits in computed:
            if chunk.is_scored:
                self._score(chunk, logits)
        done = [(chunk.request, logits[-1]) for chunk, logits in computed if chunk.is_last]
        if done:
            outputs += self._advance([request for request, _ in done], torch.stack([logits for _, logits in done]))
        return outputs

    def _computed(self, chunks: Sequence[Chunk]) -> tuple[list[tuple[Chunk, torch.Tensor]], list[StepOutput]]:
        """What the runner gives for these chunks, and the ends of the requests that could not be computed.

        When a step fails, each of its requests is tried alone: only those that fail by themselves end. A failed pass
        leaves no trace, because what it wrote lies behind every row's length.
        """
        try:
            computed = self._runner.compute(chunks) if chunks else []
        except Exception as exc:  # whatever a model's code raises
            if len(chunks) == 1:
                return [], [self._failed(chunks[0].request, exc)]
            logger.warning("a step of %d requests failed; trying each alone: %s", len(chunks), exc)
            self._prefixes.clear()  # perhaps memory was short
            parts = [self._computed([chunk]) for chunk in chunks]
            return [one for computed, _ in parts for one in computed], [one for _, ends in parts for one in ends]
        for chunk in chunks:
            chunk.request.computed(chunk.start, chunk.n_tokens)
        return computed, []

    def _failed(self, request: Request, exc: Exception) -> StepOutput:
        self._forget(request, wipe=True)
        return StepOutput(request.id, "", len(request.output_ids), error=as_worker_error(exc))

    def _score(self, chunk: Chunk, logits: torch.Tensor) -> None:
        """Keep the log probabilities of the prompt tokens that `[n_tokens, V]` logits foretell."""
        request = chunk.request
        targets = request.prompt_ids[chunk.start + 1 : chunk.start + chunk.n_tokens + 1]
        entries = score(logits[: len(targets)], targets, request.params.prompt_logprobs or 0)
        self._running[request.id].prompt_logprobs += entries

    def _advance(self, requests: Sequence[Request], logits: torch.Tensor) -> list[StepOutput]:
        running = [self._running[request.id] for request in requests]
        prompts = {request.id for request in requests if request.state is RequestState.PREFILLING}
        sampled = self._sampler.sample(logits, [one.sampler for one in running])
        outputs = [
            self._output(one, token, entry)
            for one, token, entry in zip(running, sampled.tokens, sampled.logprobs, strict=True)
        ]
        for one, output in zip(running, outputs, strict=True):
            if output.error is None and (output.is_last or one.request.id in prompts):
                self._store_prefix(one.request)
            if output.is_last:
                self._forget(one.request, wipe=output.error is not None)
        return outputs

    def _store_prefix(self, request: Request) -> None:
        """Keep copies of a request's whole blocks, if they can be reused and there is room for them."""
        if not self._is_continued:
            return
        with self._changed:
            room = self._scheduler.room_for_prefixes()
        if request.n_computed > room:
            return
        computed = request.known_ids()[: request.n_computed]
        self._prefixes.put(
            computed, request.prefix_salt, lambda start: self._runner.export(request, start, BLOCK_TOKENS)
        )
        self._prefixes.shrink_to(room)

    def _output(self, one: _Running, token: int, logprobs: TokenLogprobs | None) -> StepOutput:
        """Take a token into a request: its text, and whether it was the last."""
        request = one.request
        params = request.params
        if token == BROKEN and one.sampler.grammar is not None and one.sampler.grammar.failure is not None:
            return StepOutput(request.id, "", len(request.output_ids), error=one.sampler.grammar.failure)
        if token == BROKEN or any(math.isnan(entry.logprob) for entry in one.prompt_logprobs):
            error = WorkerError(WorkerErrorCode.INTERNAL, "the model computed numbers that are not finite")
            return StepOutput(request.id, "", len(request.output_ids), error=error)
        request.state = RequestState.DECODING
        if params.max_tokens == 0:
            return _made(one, "", FinishReason.LENGTH)
        request.output_ids.append(token)
        n_tokens = len(request.output_ids)
        is_end = token in self._vocabulary.end_ids and not params.ignore_eos
        if is_end or token in params.stop_token_ids:
            if logprobs is not None:
                one.logprobs.add(logprobs, 0)
            return _made(one, _rest(one), FinishReason.STOP)
        text = one.detokenizer.feed(token)
        if logprobs is not None:
            one.logprobs.add(logprobs, len(text))
        if n_tokens > params.min_tokens:
            text = one.stops.feed(text)
        if one.stops.matched is not None:
            return _made(one, text, FinishReason.STOP)
        if n_tokens >= params.max_tokens:
            text += _rest(one)
            return _made(one, text, FinishReason.LENGTH if one.stops.matched is None else FinishReason.STOP)
        return _made(one, text)

    def _end_cancelled(self) -> list[StepOutput]:
        with self._changed:
            ended = [self._known[request_id] for request_id in self._cancelled if request_id in self._known]
            self._cancelled.clear()
        outputs = []
        for request in ended:
            one = self._running.get(request.id)
            if one is None:
                outputs.append(StepOutput(request.id, "", 0, FinishReason.CANCELLED))
            else:
                outputs.append(_made(one, _rest(one), FinishReason.CANCELLED))
            self._forget(request)
        return outputs

    def _forget(self, request: Request, *, wipe: bool = False) -> None:
        has_row = request.state in (RequestState.PREFILLING, RequestState.DECODING)
        with self._changed:
            del self._known[request.id]
            self._scheduler.finish(request)
        self._running.pop(request.id, None)
        if has_row:
            self._runner.drop(request, wipe=wipe)

    def _end_all(self, error: WorkerError) -> None:
        """End every request that runs; on closing, also those that wait."""
        with self._changed:
            ended = [r for r in self._known.values() if self._closing or r.state is not RequestState.WAITING]
            for request in ended:
                del self._known[request.id]
                self._scheduler.finish(request)
            n_waiting = self._scheduler.n_waiting
        for request in ended:
            self._running.pop(request.id, None)  # one that was pre-empted waits, and needs what it carries
        self._runner.reset()
        self._prefixes.clear()
        outputs = [StepOutput(r.id, "", len(r.output_ids), error=error) for r in ended]
        self._report(StepReport(outputs, 0.0, 0, 0, 0, n_waiting))

    def _report(self, report: StepReport) -> None:
        self._deliver(report)


def _made(one: _Running, text: str, finish_reason: FinishReason | None = None) -> StepOutput:
    """What a step made of a request, with the log probabilities that go with it."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    if one.request.params.logprobs is not None:
        logprobs = one.logprobs.shown(len(text))
        if finish_reason is not None:
            logprobs += one.logprobs.flush()
    prompt_logprobs = None
    if one.request.params.prompt_logprobs is not None and not one.has_put_out:
        prompt_logprobs = tuple(one.prompt_logprobs)
        one.prompt_logprobs.clear()
    one.has_put_out = True
    return StepOutput(
        one.request.id,
        text,
        len(one.request.output_ids),
        finish_reason,
        logprobs=logprobs,
        prompt_logprobs=prompt_logprobs,
        n_cached=one.request.n_cached,
    )


def _rest(one: _Running) -> str:
    """The text that is still held back; if it completes a stop string, the text before that."""
    text = one.stops.feed(one.detokenizer.flush())
    return text + one.stops.flush()


def as_worker_error(exc: Exception) -> WorkerError:
    """What a failed step is to those whose requests it ends; the cause goes into the log."""
    if isinstance(exc, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(exc):
        logger.error("out of memory while generating; all running requests ended: %s", exc)
        return WorkerError(WorkerErrorCode.OUT_OF_MEMORY, "the worker ran out of memory; try again, or with less text")
    logger.error("a step failed; all running requests ended", exc_info=exc)
    return WorkerError(WorkerErrorCode.INTERNAL, "the model failed while generating; the worker's log has the cause")
