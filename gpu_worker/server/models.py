"""The models of a worker: loaded one after the other in the background, then served, each by its own engine.

It imports torch only in the loading thread, so that the port answers at once.
"""

import asyncio
import contextlib
import gc
import logging
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_worker.engine.constraint import Constraint
from gpu_worker.engine.context import Context
from gpu_worker.engine.detokenize import Decode
from gpu_worker.engine.interface import EngineKind
from gpu_worker.engine.request import Request, SamplingParams, StepOutput
from gpu_worker.engine.token_text import TokenText
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.modeling.source import embeds, open_source
from gpu_worker.protocol import ModelKind, ModelReport, ModelState, WorkerErrorCode
from gpu_worker.server.embeddings import Embedder
from gpu_worker.server.generations import Generation
from gpu_worker.server.loading import LoadCall
from gpu_worker.tools.tokens import decode_with, marker_ids, special_ids

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gpu_worker.engine.embedding import EmbeddingEngine
    from gpu_worker.engine.engine import StepReport
    from gpu_worker.engine.grammar import Grammar
    from gpu_worker.engine.grammar_compiler import GrammarCompiler
    from gpu_worker.engine.interface import TextEngine
    from gpu_worker.engine.lora import Adapter
    from gpu_worker.modeling.embedding import LoadedEmbedder
    from gpu_worker.modeling.loading import LoadedModel
    from gpu_worker.modeling.memory import MemoryLedger
    from gpu_worker.modeling.source import AdapterSpec, ModelSpec
    from gpu_worker.prompts.chat import Prompter
    from gpu_worker.server.adapters import AdapterCall, ServedAdapter
    from gpu_worker.server.foreign import ForeignModel
    from gpu_worker.server.metrics import Metrics, ModelMetrics

logger = logging.getLogger(__name__)

MAX_MODELS = 100
"""As many as a lease may report."""

STOP_S = 5.0
"""For an engine to end its step."""

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
    adapters: "tuple[AdapterSpec, ...]" = ()
    """Loaded once their bases are."""
    models_dir: Path | None = None
    """Where models that are loaded by request must lie."""
    load_from_hub: bool = False
    """Whether models from the hub may be loaded by request."""


class ServedModel:
    """One model: its state and, once loaded, the doors to its engine. Used on the event loop's thread."""

    def __init__(self, spec: "ModelSpec", on_end: Callable[[Generation], None], *, is_required: bool = True) -> None:
        """`is_required`: the worker is not ready without it."""
        self.spec = spec
        self.is_required = is_required
        self.is_leaving = False
        """It is being unloaded: what runs may finish."""
        self.ended_one = asyncio.Event()
        self.state = ModelState.LOADING
        self.progress = 0.0
        self.error: str | None = None
        self._on_end = on_end
        self._loaded: LoadedModel | ForeignModel | None = None
        self._engine: TextEngine | None = None
        self._prompter: Prompter | None = None
        self._metrics: ModelMetrics | None = None
        self._tokens: TokenText | None = None
        self._grammars: GrammarCompiler | None = None
        self._embedder: Embedder | None = None
        self.kind = ModelKind.EMBEDDING if embeds(Path(spec.source)) else ModelKind.TEXT
        """Of a model that is still to be downloaded: text, until it is there."""
        self._requests: dict[str, tuple[Generation, int]] = {}
        self._running: dict[Generation, list[str]] = {}
        """Generations with the ids of their requests that have not ended."""
        self._abort_reasons: dict[Generation, str] = {}
        self.has_marker_tokens = False
        """It marks tool calls by special tokens, which are hidden but where calls are read."""
        self._lent: dict[str, ServedModel] = {}
        """Requests of adapters that run in this model's engine, and whose they are."""
        self.most_choices = 0
        self.context = Context.shared(0)
        """Of a model that answers."""
        self.context_length = 0
        """What it reads, for reports."""
        self.created = int(time.time())

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def base_name(self) -> str | None:
        """Of an adapter, the model that it belongs to."""
        return None

    @property
    def n_requests(self) -> int:
        return len(self._requests) + (self._embedder.n_requests if self._embedder else 0)

    def report(self) -> ModelReport:
        loaded = self._loaded or (self._embedder.loaded if self._embedder else None)
        if self.state is not ModelState.LOADED or loaded is None:
            progress = self.progress if self.state is ModelState.LOADING else None
            return ModelReport(name=self.name, state=self.state, progress=progress, error=self.error, kind=self.kind)
        return ModelReport(
            name=self.name,
            state=self.state,
            context_length=self.context_length,
            n_parameters=loaded.n_parameters,
            dtype=loaded.weight_format,
            revision=loaded.revision,
            kind=self.kind,
            sees_images=self._prompter is not None and self._prompter.sees_images,
        )

    def open(
        self, loaded: "LoadedModel | ForeignModel", prompter: "Prompter", engine: "TextEngine", metrics: "ModelMetrics"
    ) -> None:
        """Begin to serve."""
        self._loaded, self._prompter, self._engine, self._metrics = loaded, prompter, engine, metrics
        self._tokens = TokenText(loaded.tokenizer)
        self._grammars = grammar_compiler(loaded, prompter)
        self.has_marker_tokens = bool(marker_ids(loaded.tokenizer, prompter.tool_format))
        self.state = ModelState.LOADED

    def open_embedder(self, embedder: Embedder) -> None:
        """Begin to make vectors."""
        self._embedder = embedder
        self.context_length = embedder.loaded.context_length
        self.state = ModelState.LOADED

    @property
    def embedder(self) -> Embedder:
        """Raises: WorkerError (model_loading, model_not_found, invalid_request) unless it makes vectors."""
        if self._embedder is None:
            raise self._unavailable()
        return self._embedder

    def take_vectors(self, request_id: str, result: "Tensor | WorkerError") -> None:
        if self._embedder is not None:
            self._embedder.take(request_id, result)

    def borrow(self, base: "ServedModel", metrics: "ModelMetrics") -> None:
        """Begin to serve with all that another model has, but for the metrics."""
        self._loaded, self._prompter, self._engine, self._metrics = base._loaded, base._prompter, base._engine, metrics
        self._tokens, self._grammars = base._tokens, base._grammars
        self.context, self.context_length, self.most_choices = base.context, base.context_length, base.most_choices
        self.has_marker_tokens = base.has_marker_tokens
        self.state = ModelState.LOADED

    def lend(self, request_ids: Sequence[str], owner: "ServedModel") -> None:
        """What comes of these requests is the owner's."""
        self._lent.update(dict.fromkeys(request_ids, owner))

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

    @property
    def tokens(self) -> TokenText:
        """Raises: WorkerError (model_loading, model_not_found) unless the model can be served."""
        if self._tokens is None:
            raise self._unavailable()
        return self._tokens

    @property
    def decode(self) -> Decode:
        """Raises: WorkerError (model_loading, model_not_found) unless the model can be served."""
        if self._loaded is None:
            raise self._unavailable()
        return self._loaded.decode

    async def grammar(self, constraint: Constraint | None) -> "Grammar | None":
        """Raises: WorkerError that names the field, for a constraint that cannot be compiled."""
        if constraint is None:
            return None
        if self._grammars is None:
            raise self._unavailable()
        return await self._grammars.compile(constraint)

    def start(self, generation: Generation, requests: list[Request]) -> None:
        """Queue a generation: one request per choice, all or none. What they ask for has been checked (`refuse`).

        Raises: WorkerError (overloaded, shutting_down).
        """
        if self._engine is None:
            raise self._unavailable()
        self._engine.submit(*requests)
        self._requests.update({request.id: (generation, index) for index, request in enumerate(requests)})
        self._running[generation] = [request.id for request in requests]

    def refuse(self, prompt_ids: Sequence[int], params: SamplingParams, n_choices: int, *, field: str) -> None:
        """Raises: WorkerError for what this model cannot do. `field` is where the prompt came from."""
        if self._loaded is None:
            raise self._unavailable()
        _refuse_unknown_tokens(prompt_ids, params, self._loaded.n_vocabulary, field)
        if n_choices > self.most_choices:
            raise invalid("n", f"this worker takes at most {self.most_choices} choices at once, found {n_choices}")

    def cancel(self, generation: Generation, reason: str) -> None:
        """End all choices of a generation before their next token. One that has ended is left alone."""
        if self._engine is not None and generation in self._running:
            self._abort_reasons.setdefault(generation, reason)
            self._engine.cancel(*self._running[generation])

    def take(self, report: "StepReport") -> None:
        """Hand one engine step's outputs to their generations."""
        if self._metrics is None:
            return
        now = time.perf_counter()
        self._metrics.stepped(report)
        for output in report.outputs:
            self._lent.get(output.request_id, self).put(output, now)
            if output.is_last:
                self._lent.pop(output.request_id, None)
                self.ended_one.set()

    def put(self, output: StepOutput, now: float) -> None:
        """Hand one output to its generation."""
        if self._metrics is None:
            return
        generation, index = self._requests[output.request_id]
        choice = generation.choices[index]
        n_new = output.n_tokens - choice.n_tokens
        if n_new:
            self._metrics.generated(choice, generation.started_at, n_new, now)
        generation.take(output, index)
        if output.is_last:
            self._ended(generation, output)

    def _ended(self, generation: Generation, output: StepOutput) -> None:
        """One choice has ended, and with the last of them, or after a failure, the generation."""
        if self._metrics is None or self._engine is None:
            return
        del self._requests[output.request_id]
        left = self._running[generation]
        left.remove(output.request_id)
        if left and output.error is not None:
            self._engine.cancel(*left)
        if not left:
            del self._running[generation]
            self._metrics.ended(generation, self._abort_reasons.pop(generation, None))
            self._on_end(generation)

    async def idle(self) -> None:
        """Return when nothing runs or waits, of adapters neither."""
        while self.n_requests or self._lent:
            self.ended_one.clear()
            await self.ended_one.wait()

    def forget(self) -> None:
        """Let go of the weights, after `close`."""
        self._loaded = self._engine = self._prompter = self._tokens = self._grammars = self._embedder = None

    def close(self, timeout_s: float) -> bool:
        """Stop the engine; what still runs ends with an error. Blocks; False if it does not stop in time."""
        if self._prompter is not None:
            self._prompter.close()
        if self._grammars is not None:
            self._grammars.close()
        if self._embedder is not None:
            return self._embedder.close(timeout_s)
        return self._engine is None or self._engine.close(timeout_s)

    def _unavailable(self) -> WorkerError:
        if self.is_leaving:
            return WorkerError(WorkerErrorCode.MODEL_NOT_FOUND, f"{self.name} is being unloaded", param="model")
        if self.state is ModelState.FAILED:
            return WorkerError(WorkerErrorCode.MODEL_NOT_FOUND, f"it could not be loaded: {self.error}", param="model")
        if self.state is ModelState.LOADED:
            able = "makes vectors and cannot answer" if self._embedder else "answers and makes no vectors"
            return invalid("model", f"the model {self.name} {able}")
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
        from gpu_worker.server.adapters import AdapterLoader, ServedAdapter

        self.models = {spec.name: ServedModel(spec, on_end) for spec in specs}
        self.models |= {spec.name: ServedAdapter(spec, self.models[spec.base], on_end) for spec in options.adapters}
        self.device = "not chosen yet"
        self.loaded = asyncio.Event()
        """All models are loaded or have failed."""
        self._options = options
        self._adapters = AdapterLoader()
        self._arriving: set[str] = set()
        """Names of adapters that are being loaded on request."""
        self._leaving: set[ServedAdapter] = set()
        """Adapters that are unloaded but for the answers that still run."""
        self._metrics = metrics
        self._on_end = on_end
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._progress_told_at = time.monotonic()
        self._jobs: queue.SimpleQueue[Callable[[MemoryLedger], None] | None] = queue.SimpleQueue()
        """For the loading thread, once the first models are loaded."""

    def get(self, name: str) -> ServedModel:
        """Raises: WorkerError (model_not_found)."""
        found = self.models.get(name)
        if found is None or found.is_leaving:
            raise WorkerError(
                WorkerErrorCode.MODEL_NOT_FOUND, f"the model {name[:100]!r} is not served here", param="model"
            )
        return found

    @property
    def n_requests(self) -> int:
        return sum(model.n_requests for model in [*self.models.values(), *self._leaving])

    def cancel(self, generation: Generation, reason: str) -> None:
        for model in [*self.models.values(), *self._leaving]:
            model.cancel(generation, reason)

    async def load_adapter(self, call: "AdapterCall") -> ServedModel:
        """Load an adapter while its base serves. Raises: WorkerError, naming the field at fault."""
        from gpu_worker.modeling.source import ModelRefused
        from gpu_worker.server.adapters import ServedAdapter, refused

        spec = call.allowed(self._options.models_dir, from_hub=self._options.load_from_hub)
        if spec.name in self.models or spec.name in self._arriving:
            raise invalid("name", f"a model or adapter is called {spec.name[:100]!r} already")
        if len(self.models) + len(self._arriving) >= MAX_MODELS:
            raise invalid("name", f"a worker serves at most {MAX_MODELS} models and adapters")
        base = self.get(spec.base)
        if base.state is not ModelState.LOADED or base.base_name is not None:
            raise invalid("base", f"{spec.base[:100]!r} is no model that is loaded")
        self._arriving.add(spec.name)
        try:
            adapter = await asyncio.to_thread(self._adapters.load, spec)
        except ModelRefused as exc:
            raise refused(exc) from exc
        finally:
            self._arriving.discard(spec.name)
        if base.is_leaving:
            raise invalid("base", f"{spec.base[:100]!r} is being unloaded")
        served = ServedAdapter(spec, base, self._on_end)
        self.models[spec.name] = served
        self._adapter_opened(served, adapter)
        return served

    def unload_adapter(self, name: str) -> None:
        """Take no more requests for an adapter; its memory is free when what runs has ended. Raises: WorkerError."""
        from gpu_worker.server.adapters import ServedAdapter

        adapter = self.get(name)
        if not isinstance(adapter, ServedAdapter):
            raise invalid("name", f"{name[:100]!r} is no adapter")
        del self.models[name]
        self._leaving.add(adapter)
        adapter.leave(lambda: self._adapter_left(adapter))
        self._on_change()

    def _adapter_left(self, adapter: "ServedAdapter") -> None:
        self._leaving.discard(adapter)
        if adapter.key is not None:
            self._adapters.unload(adapter.base.name, adapter.key)

    def _adapter_opened(self, served: "ServedAdapter", adapter: "Adapter") -> None:
        served.open_adapter(adapter, self._metrics.of_model(served.name))
        sys.stdout.write(f"ready: {served.name} (adapter of {served.base.name}, {adapter.n_bytes / 2**20:.1f} MiB)\n")
        sys.stdout.flush()
        self._on_change()

    @property
    def can_serve(self) -> bool:
        return any(model.state is not ModelState.FAILED for model in self.models.values())

    @property
    def is_ready(self) -> bool:
        return all(model.state is ModelState.LOADED for model in self.models.values() if model.is_required)

    @property
    def in_service(self) -> list[ServedModel]:
        """All but those that are being unloaded."""
        return [model for model in self.models.values() if not model.is_leaving]

    @property
    def max_batch(self) -> int:
        return self._options.max_batch

    def reports(self) -> list[ModelReport]:
        return [model.report() for model in self.in_service]

    def load(self, call: LoadCall) -> ServedModel:
        """Begin to load one more model. Raises: WorkerError for one that may not be loaded, or whose name is taken."""
        if call.name in self.models or call.name in self._arriving:
            raise invalid("name", f"there is a model {call.name[:100]!r} already")
        if len(self.models) + len(self._arriving) >= MAX_MODELS:
            raise invalid("name", f"there are {MAX_MODELS} models already")
        spec = call.spec(self._options.models_dir, from_hub=self._options.load_from_hub)
        model = ServedModel(spec, self._on_end, is_required=False)
        self.models[spec.name] = model
        self._jobs.put(lambda ledger: self._load_one(model, ledger, n_waiting=0))
        self._on_change()
        return model

    async def unload(self, name: str, *, drain_s: float) -> None:
        """Take a model out of service: what runs has `drain_s` to finish, then its memory is freed.

        Raises: WorkerError (model_not_found, model_loading, invalid_request for an adapter, or a base that has some).
        """
        model = self.get(name)
        if model.base_name is not None:
            raise invalid("name", f"{name[:100]!r} is an adapter")
        if adapters := [other.name for other in self.models.values() if other.base_name == name]:
            raise invalid("name", f"{name[:100]!r} has adapters that must go first, such as {adapters[0][:100]!r}")
        if model.state is ModelState.LOADING:
            raise WorkerError(WorkerErrorCode.MODEL_LOADING, f"the model {name} is still loading; try again then")
        model.is_leaving = True
        self._on_change()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(model.idle(), drain_s)
        await asyncio.to_thread(model.close, STOP_S)
        self._adapters.withdraw(name)
        model.forget()
        del self.models[name]
        released = self._loop.create_future()
        self._jobs.put(lambda ledger: self._release(name, ledger, released))
        await released
        logger.info("%s: unloaded", name)

    def start_loading(self) -> None:
        threading.Thread(target=self._load_all, name="loading", daemon=True).start()

    def close(self, timeout_s: float) -> bool:
        """Stop all engines. Blocks."""
        self._jobs.put(None)
        stopped = [model.close(timeout_s) for model in list(self.models.values())]
        return all(stopped)

    def _load_all(self) -> None:
        """The loading thread: touches the models only through the event loop."""
        try:
            from gpu_worker.modeling.memory import MemoryLedger

            devices = _prepare_torch(self._options)
            self._tell(self._set_devices, devices)
            ledger = MemoryLedger(devices, self._options.max_memory)
            models = [model for model in self.models.values() if model.base_name is None]
            for n_done, model in enumerate(models, 1):
                self._load_one(model, ledger, n_waiting=len(models) - n_done)
            for spec in self._options.adapters:
                self._load_adapter(spec)
            self._tell(self.loaded.set)
            while (job := self._jobs.get()) is not None:
                job(ledger)
        except Exception as exc:  # a thread's exception would only be printed, and readiness would wait for ever
            logger.debug("loading failed", exc_info=exc)
            for model in list(self.models.values()):
                self._tell(self._failed, model, _sentence(exc))
            self._tell(self.loaded.set)

    def _release(self, name: str, ledger: "MemoryLedger", released: "asyncio.Future[None]") -> None:
        import torch

        gc.collect()  # a model's modules know each other in circles
        if ledger.devices[0].type == "cuda":
            torch.cuda.empty_cache()
        ledger.release(name)
        self._tell(_resolve, released)

    def _load_adapter(self, spec: "AdapterSpec") -> None:
        served = self.models[spec.name]
        try:
            self._tell(self._adapter_opened, served, self._adapters.load(spec))
        except Exception as exc:  # one adapter that fails must not keep the others from being served
            logger.debug("loading %s failed", spec.name, exc_info=exc)
            self._tell(self._failed, served, _sentence(exc))

    def _load_one(self, model: ServedModel, ledger: "MemoryLedger", *, n_waiting: int) -> None:
        """`n_waiting`: models that will be loaded after this one."""
        from gpu_worker.modeling.embedding import load_embedder
        from gpu_worker.modeling.loading import LoadOptions, load_model
        from gpu_worker.server.foreign import choose_engine

        options = LoadOptions(ledger.devices, self._options.dtype, self._options.max_context, ledger)

        def on_progress(share: float) -> None:
            self._tell(self._progressed, model, share)

        try:
            kind = choose_engine(model.spec)
            if kind is not EngineKind.TORCH:
                self._serve_foreign(kind, model, ledger, n_waiting)
                return
            if embeds(open_source(model.spec).path):
                self._serve_embedder(model, load_embedder(model.spec, options, on_progress))
                return
            loaded = load_model(model.spec, options, on_progress)
            there = ledger.on(loaded.devices)
            self._serve(model, loaded, there.grant_cache(model.name, loaded.token_bytes, n_waiting=n_waiting))
        except Exception as exc:  # one model that fails must not keep the others from being served
            logger.debug("loading %s failed", model.name, exc_info=exc)
            ledger.release(model.name)
            self._tell(self._failed, model, _sentence(exc))

    def _serve(self, model: ServedModel, loaded: "LoadedModel", n_cache: int) -> None:
        """`n_cache`: tokens that its cache may hold."""
        from gpu_worker.engine.engine import Engine, Vocabulary
        from gpu_worker.engine.scheduler import Limits, longest_row
        from gpu_worker.prompts.chat import Prompter
        from gpu_worker.prompts.conversation import find_template

        limits = Limits(
            max_batch=self._options.max_batch,
            max_waiting=self._options.max_queue,
            cache_tokens=n_cache,
            prefill_tokens=2048 if loaded.model.device.type == "cuda" else 512,
        )
        longest = longest_row(loaded.runner.footprint, n_cache)
        if loaded.runner.start_ids:
            context = Context.apart(loaded.context_length, longest)
        else:
            context = Context.shared(min(loaded.context_length, longest))
        template = find_template(model.spec.template) if model.spec.template else None
        prompter = Prompter(model.name, loaded.tokenizer, context, template, loaded.image_processor)
        markers = prompter.tool_format.markers if prompter.tool_format is not None else ()
        vocabulary = Vocabulary(loaded.decode, loaded.end_ids, decode_with(loaded.tokenizer, markers))
        runner = loaded.runner
        engine = Engine(runner, vocabulary, limits, lambda report: self._tell(model.take, report), name=model.name)
        engine.start()
        if runner.adapters is not None:
            self._adapters.offer(model.name, loaded, runner.adapters)
        logger.info(
            "%s: %s because %s; weights kept as %s; room for %d tokens",
            model.name,
            loaded.dtype.name,
            loaded.dtype.reason,
            loaded.weight_format,
            n_cache,
        )
        self._tell(self._opened, model, loaded, prompter, engine, context)

    def _serve_foreign(self, kind: EngineKind, model: ServedModel, ledger: "MemoryLedger", n_waiting: int) -> None:
        from gpu_worker.server.foreign import Surroundings, open_foreign

        around = Surroundings(self._options, ledger, n_waiting, lambda report: self._tell(model.take, report))
        loaded, prompter, engine = open_foreign(kind, model.spec, around)
        self._tell(self._opened, model, loaded, prompter, engine, Context.shared(loaded.context_length))

    def _serve_embedder(self, model: ServedModel, loaded: "LoadedEmbedder") -> None:
        from gpu_worker.engine.embedding import EmbeddingEngine

        engine = EmbeddingEngine(
            loaded.embed,
            lambda request_id, result: self._tell(model.take_vectors, request_id, result),
            max_batch=self._options.max_batch,
            max_waiting=self._options.max_batch + self._options.max_queue,
            name=model.name,
        )
        engine.start()
        self._tell(self._opened_embedder, model, loaded, engine)

    def _opened_embedder(self, model: ServedModel, loaded: "LoadedEmbedder", engine: "EmbeddingEngine") -> None:
        model.kind = ModelKind.EMBEDDING
        model.open_embedder(Embedder(loaded, engine, self._metrics.of_model(model.name)))
        self._tell_ready(model, loaded)

    def _opened(
        self,
        model: ServedModel,
        loaded: "LoadedModel | ForeignModel",
        prompter: "Prompter",
        engine: "TextEngine",
        context: Context,
    ) -> None:
        model.context, model.context_length = context, context.reads
        model.most_choices = self._options.max_batch + self._options.max_queue
        model.open(loaded, prompter, engine, self._metrics.of_model(model.name))
        self._tell_ready(model, loaded)

    def _tell_ready(self, model: ServedModel, loaded: "LoadedModel | ForeignModel | LoadedEmbedder") -> None:
        sys.stdout.write(
            f"ready: {model.name} ({loaded.n_parameters / 1e6:.1f}M parameters, {loaded.weight_format}, "
            f"context {model.context_length}) after {loaded.load_s:.1f} s\n"
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

    def _set_devices(self, devices: "tuple[torch.device, ...]") -> None:
        from gpu_worker.modeling.device import describe_devices

        self.device = describe_devices(devices)

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Call on the event loop's thread, later. After the loop's end there is nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _resolve(waiter: "asyncio.Future[None]") -> None:
    """Whoever waited may have left."""
    if not waiter.done():
        waiter.set_result(None)


def _refuse_unknown_tokens(prompt_ids: Sequence[int], params: SamplingParams, n_vocabulary: int, field: str) -> None:
    """One token beyond the vocabulary would fail the step for everybody in the batch."""
    biased = [token for token, _ in params.logit_bias]
    for name, tokens in (("logit_bias", biased), ("stop_token_ids", params.stop_token_ids), (field, prompt_ids)):
        highest = max(tokens, default=0)
        if highest >= n_vocabulary:
            raise invalid(name, f"the model has {n_vocabulary} tokens, so there is no token {highest}")


def grammar_compiler(loaded: "LoadedModel | ForeignModel", prompter: "Prompter") -> "GrammarCompiler":
    from gpu_worker.engine.grammar_compiler import GrammarCompiler

    return GrammarCompiler(
        loaded.tokenizer,
        loaded.n_vocabulary,
        loaded.end_ids,
        hidden_ids=special_ids(loaded.tokenizer),
        marker_ids=marker_ids(loaded.tokenizer, prompter.tool_format),
    )


def new_request_id() -> str:
    return uuid.uuid4().hex


def _prepare_torch(options: ServingOptions) -> "tuple[torch.device, ...]":
    import torch

    from gpu_worker.modeling.device import choose_devices, physical_cores

    torch.set_num_threads(options.threads or physical_cores())
    return choose_devices(options.device)


def _sentence(exc: Exception) -> str:
    """A refusal is a sentence already; anything else is told by its kind and first line."""
    from gpu_worker.modeling.device import DeviceError
    from gpu_worker.modeling.source import ModelRefused

    if isinstance(exc, ModelRefused | DeviceError):
        return str(exc)
    lines = str(exc).strip().splitlines() or ["no message"]
    return f"{type(exc).__name__}: {lines[0]}"
