"""The models of a worker: loaded one after the other in the background, then served, each by its own engine.

It imports torch only in the loading thread, so that the port answers at once.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import ModelReport, ModelState, WorkerErrorCode
from gpu_worker.server.generations import Generation, Opening

if TYPE_CHECKING:
    import torch

    from gpu_worker.engine.engine import Engine, StepReport
    from gpu_worker.modeling.loading import LoadedModel
    from gpu_worker.modeling.memory import MemoryLedger
    from gpu_worker.modeling.source import ModelSpec
    from gpu_worker.prompts.chat import Prompter
    from gpu_worker.server.metrics import Metrics, ModelMetrics

logger = logging.getLogger(__name__)

PROGRESS_EVERY_S = 2.0
"""Progress is told this often, not for every tensor."""


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What the operator chose for all models."""

    device: str = "auto"
    dtype: str = "auto"
    max_batch: int = 64
    max_queue: int = 256
    max_context: int | None = None
    threads: int | None = None
    max_memory: int | None = None
    """Bytes of weights and caches on the device."""


class ServedModel:
    """One model: its state and, once loaded, the doors to its engine. Used on the event loop's thread."""

    def __init__(self, spec: "ModelSpec", on_end: Callable[[Generation], None]) -> None:
        self.spec = spec
        self.state = ModelState.LOADING
        self.progress = 0.0
        self.error: str | None = None
        self._on_end = on_end
        self._loaded: LoadedModel | None = None
        self._engine: Engine | None = None
        self._prompter: Prompter | None = None
        self._metrics: ModelMetrics | None = None
        self._generations: dict[str, Generation] = {}
        self._abort_reasons: dict[str, str] = {}
        self.context_length = 0
        self.created = int(time.time())

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def n_requests(self) -> int:
        return len(self._generations)

    def report(self) -> ModelReport:
        if self.state is not ModelState.LOADED or self._loaded is None:
            progress = self.progress if self.state is ModelState.LOADING else None
            return ModelReport(name=self.name, state=self.state, progress=progress, error=self.error)
        return ModelReport(
            name=self.name,
            state=self.state,
            context_length=self.context_length,
            n_parameters=self._loaded.n_parameters,
            dtype=self._loaded.weight_format,
            revision=self._loaded.revision,
        )

    def open(self, loaded: "LoadedModel", prompter: "Prompter", engine: "Engine", metrics: "ModelMetrics") -> None:
        """Begin to serve."""
        self._loaded, self._prompter, self._engine, self._metrics = loaded, prompter, engine, metrics
        self.state = ModelState.LOADED

    def fail(self, error: str) -> None:
        self.error = error[:2000]
        self.state = ModelState.FAILED

    @property
    def prompter(self) -> "Prompter":
        """Raises: WorkerError (model_loading, model_not_found) unless the model can be served."""
        if self._prompter is None:
            raise self._unavailable()
        return self._prompter

    @property
    def sampling_defaults(self) -> dict[str, Any]:
        """What the model's makers want where a request is silent."""
        return {} if self._loaded is None else self._loaded.sampling_defaults

    def start(self, opening: Opening, prompt_ids: list[int], params: SamplingParams) -> Generation:
        """Queue a generation. Raises: WorkerError (invalid_request, overloaded, shutting_down)."""
        if self._engine is None or self._loaded is None:
            raise self._unavailable()
        _refuse_unknown_tokens(prompt_ids, params, self._loaded.n_vocabulary)
        generation = Generation(opening)
        self._engine.submit(Request(opening.request_id, prompt_ids, params, time.perf_counter()))
        self._generations[opening.request_id] = generation
        return generation

    def cancel(self, generation: Generation, reason: str) -> None:
        """End a generation before its next token. One that has ended is left alone."""
        request_id = generation.opening.request_id
        if self._engine is not None and request_id in self._generations:
            self._abort_reasons.setdefault(request_id, reason)
            self._engine.cancel(request_id)

    def take(self, report: "StepReport") -> None:
        """Hand one engine step's outputs to their generations."""
        if self._metrics is None:
            return
        now = time.perf_counter()
        self._metrics.stepped(report)
        for output in report.outputs:
            generation = self._generations[output.request_id]
            n_new = output.n_tokens - generation.n_tokens
            if n_new:
                self._metrics.generated(generation, n_new, now)
            generation.take(output)
            if output.is_last:
                del self._generations[output.request_id]
                self._metrics.ended(generation, self._abort_reasons.pop(output.request_id, None))
                self._on_end(generation)

    def close(self, timeout_s: float) -> bool:
        """Stop the engine; what still runs ends with an error. Blocks; False if it does not stop in time."""
        return self._engine is None or self._engine.close(timeout_s)

    def _unavailable(self) -> WorkerError:
        if self.state is ModelState.FAILED:
            return WorkerError(WorkerErrorCode.MODEL_NOT_FOUND, f"it could not be loaded: {self.error}", param="model")
        return WorkerError(WorkerErrorCode.MODEL_LOADING, f"the model {self.name} is still loading; try again soon")


class ModelPool:
    """All models of a worker."""

    def __init__(
        self,
        specs: "Sequence[ModelSpec]",
        options: ServingOptions,
        metrics: "Metrics",
        *,
        on_end: Callable[[Generation], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called on the event loop whenever a model's state or progress has changed."""
        self.models = {spec.name: ServedModel(spec, on_end) for spec in specs}
        self.device = "not chosen yet"
        self.loaded = asyncio.Event()
        """All models are loaded or have failed."""
        self._options = options
        self._metrics = metrics
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._progress_told_at = time.monotonic()

    def get(self, name: str) -> ServedModel:
        """Raises: WorkerError (model_not_found)."""
        found = self.models.get(name)
        if found is None:
            raise WorkerError(
                WorkerErrorCode.MODEL_NOT_FOUND, f"the model {name[:100]!r} is not served here", param="model"
            )
        return found

    @property
    def n_requests(self) -> int:
        return sum(model.n_requests for model in self.models.values())

    @property
    def can_serve(self) -> bool:
        return any(model.state is not ModelState.FAILED for model in self.models.values())

    @property
    def is_ready(self) -> bool:
        return all(model.state is ModelState.LOADED for model in self.models.values())

    def start_loading(self) -> None:
        threading.Thread(target=self._load_all, name="loading", daemon=True).start()

    def close(self, timeout_s: float) -> bool:
        """Stop all engines. Blocks."""
        stopped = [model.close(timeout_s) for model in self.models.values()]
        return all(stopped)

    def _load_all(self) -> None:
        """The loading thread: touches the models only through the event loop."""
        try:
            from gpu_worker.modeling.memory import MemoryLedger

            device = _prepare_torch(self._options)
            self._tell(self._set_device, device)
            ledger = MemoryLedger(device, self._options.max_memory)
            models = list(self.models.values())
            for n_done, model in enumerate(models, 1):
                self._load_one(model, ledger, n_waiting=len(models) - n_done)
        except Exception as exc:  # a thread's exception would only be printed, and readiness would wait for ever
            logger.debug("loading failed", exc_info=exc)
            for model in self.models.values():
                self._tell(self._failed, model, _sentence(exc))
        self._tell(self.loaded.set)

    def _load_one(self, model: ServedModel, ledger: "MemoryLedger", *, n_waiting: int) -> None:
        """`n_waiting`: models that will be loaded after this one."""
        from gpu_worker.modeling.loading import LoadOptions, load_model

        options = LoadOptions(ledger.device, self._options.dtype, self._options.max_context, ledger)
        try:
            loaded = load_model(model.spec, options, lambda share: self._tell(self._progressed, model, share))
            self._serve(model, loaded, ledger.grant_cache(model.name, loaded.token_bytes, n_waiting=n_waiting))
        except Exception as exc:  # one model that fails must not keep the others from being served
            logger.debug("loading %s failed", model.name, exc_info=exc)
            ledger.release(model.name)
            self._tell(self._failed, model, _sentence(exc))

    def _serve(self, model: ServedModel, loaded: "LoadedModel", n_cache: int) -> None:
        """`n_cache`: tokens that its cache may hold."""
        from gpu_worker.engine.engine import Engine, Vocabulary
        from gpu_worker.engine.runner import Runner
        from gpu_worker.engine.scheduler import Limits
        from gpu_worker.prompts.chat import Prompter

        limits = Limits(
            max_batch=self._options.max_batch,
            max_waiting=self._options.max_queue,
            cache_tokens=n_cache,
            prefill_tokens=2048 if loaded.model.device.type == "cuda" else 512,
        )
        context_length = min(loaded.context_length, n_cache)
        vocabulary = Vocabulary(loaded.decode, loaded.end_ids)
        engine = Engine(
            Runner(loaded.model), vocabulary, limits, lambda report: self._tell(model.take, report), name=model.name
        )
        engine.start()
        prompter = Prompter(model.name, loaded.tokenizer, context_length)
        logger.info(
            "%s: %s because %s; weights kept as %s; room for %d tokens",
            model.name,
            loaded.dtype.name,
            loaded.dtype.reason,
            loaded.weight_format,
            n_cache,
        )
        self._tell(self._opened, model, loaded, prompter, engine, context_length)

    def _opened(
        self, model: ServedModel, loaded: "LoadedModel", prompter: "Prompter", engine: "Engine", context_length: int
    ) -> None:
        model.context_length = context_length
        model.open(loaded, prompter, engine, self._metrics.of_model(model.name))
        sys.stdout.write(
            f"ready: {model.name} ({loaded.n_parameters / 1e6:.1f}M parameters, {loaded.weight_format}, "
            f"context {context_length}) after {loaded.load_s:.1f} s\n"
        )
        sys.stdout.flush()
        self._on_change()

    def _failed(self, model: ServedModel, error: str) -> None:
        if model.state is ModelState.LOADING:
            logger.error("cannot serve %s", error)
            model.fail(error)
            self._on_change()

    def _progressed(self, model: ServedModel, share: float) -> None:
        model.progress = share
        now = time.monotonic()
        if now - self._progress_told_at >= PROGRESS_EVERY_S:
            self._progress_told_at = now
            logger.info("%s: %.0f %% of the weights loaded", model.name, share * 100)
            self._on_change()

    def _set_device(self, device: "torch.device") -> None:
        from gpu_worker.modeling.device import describe_device

        self.device = describe_device(device)

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Call on the event loop's thread, later. After the loop's end there is nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _refuse_unknown_tokens(prompt_ids: list[int], params: SamplingParams, n_vocabulary: int) -> None:
    """One token beyond the vocabulary would fail the step for everybody in the batch."""
    unknown = [token for token, _ in params.logit_bias if token >= n_vocabulary]
    if unknown:
        raise invalid("logit_bias", f"the model has {n_vocabulary} tokens, so there is no token {unknown[0]}")
    if max(prompt_ids) >= n_vocabulary:
        raise invalid("messages", f"the tokenizer makes token {max(prompt_ids)} of them, which the model does not have")


def new_request_id() -> str:
    return uuid.uuid4().hex


def _prepare_torch(options: ServingOptions) -> "torch.device":
    import torch

    from gpu_worker.modeling.device import choose_device, physical_cores

    torch.set_num_threads(options.threads or physical_cores())
    return choose_device(options.device)


def _sentence(exc: Exception) -> str:
    """A refusal is a sentence already; anything else is told by its kind and first line."""
    from gpu_worker.modeling.device import DeviceError
    from gpu_worker.modeling.source import ModelRefused

    if isinstance(exc, ModelRefused | DeviceError):
        return str(exc)
    lines = str(exc).strip().splitlines() or ["no message"]
    return f"{type(exc).__name__}: {lines[0]}"
