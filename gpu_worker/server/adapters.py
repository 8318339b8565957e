"""Adapters as models of their own that compute in their base's engine: loaded and unloaded while it serves.

Used on the event loop's thread, but for `AdapterLoader.load`, which blocks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_worker.engine.request import Request, StepOutput
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.modeling.source import AdapterSpec, ModelSpec
from gpu_worker.protocol import Json, ModelReport, ModelState
from gpu_worker.server.fields import Fields
from gpu_worker.server.generations import Generation
from gpu_worker.server.loading import LoadCall
from gpu_worker.server.models import ServedModel

if TYPE_CHECKING:
    from gpu_worker.engine.lora import Adapter, AdapterBank
    from gpu_worker.modeling.loading import LoadedModel
    from gpu_worker.server.metrics import ModelMetrics


class ServedAdapter(ServedModel):
    """One adapter. Its requests run in its base's engine, under its own name."""

    def __init__(self, spec: AdapterSpec, base: ServedModel, on_end: Callable[[Generation], None]) -> None:
        super().__init__(ModelSpec(spec.source, spec.name, spec.revision), on_end)
        self.base = base
        self._adapter: Adapter | None = None
        self._on_idle: Callable[[], None] | None = None

    @property
    def base_name(self) -> str | None:
        return self.base.name

    @property
    def key(self) -> str | None:
        return None if self._adapter is None else self._adapter.key

    def open_adapter(self, adapter: "Adapter", metrics: "ModelMetrics") -> None:
        """Begin to serve. The base is served already."""
        self._adapter = adapter
        self.borrow(self.base, metrics)
        self.created = int(time.time())

    def report(self) -> ModelReport:
        if self.state is not ModelState.LOADED or self._adapter is None:
            return ModelReport(name=self.name, state=self.state, error=self.error, base=self.base.name)
        base = self.base.report()
        return ModelReport(
            name=self.name,
            state=self.state,
            context_length=self.context_length,
            n_parameters=(base.n_parameters or 0) + self._adapter.n_parameters,
            dtype=base.dtype,
            revision=self.spec.revision,
            base=self.base.name,
        )

    def start(self, generation: Generation, requests: list[Request]) -> None:
        for request in requests:
            request.adapter = self.key
        super().start(generation, requests)
        self.base.lend([request.id for request in requests], self)

    def leave(self, on_idle: Callable[[], None]) -> None:
        """Take nothing new; `on_idle` is called when nothing runs any more, perhaps at once."""
        self._on_idle = on_idle
        self._tell_if_idle()

    def put(self, output: StepOutput, now: float) -> None:
        super().put(output, now)
        self._tell_if_idle()

    def close(self, timeout_s: float) -> bool:
        return True  # the engine is the base's

    def _tell_if_idle(self) -> None:
        if self._on_idle is not None and not self.n_requests:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()


class AdapterLoader:
    """Loads adapters beside the bases that can take them. `offer` and `load` belong to loading threads."""

    def __init__(self) -> None:
        self._bases: dict[str, tuple[LoadedModel, AdapterBank]] = {}

    def offer(self, name: str, loaded: "LoadedModel", bank: "AdapterBank") -> None:
        """A base has been loaded."""
        self._bases[name] = (loaded, bank)

    def withdraw(self, name: str) -> None:
        """A base goes; its adapters are gone already."""
        self._bases.pop(name, None)

    def load(self, spec: AdapterSpec) -> "Adapter":
        """Blocks. Raises: ModelRefused."""
        from gpu_worker.modeling.adapters import load_adapter
        from gpu_worker.modeling.source import ModelRefused, adapter_folder

        if spec.base not in self._bases:
            raise ModelRefused(f"{spec.name}: its base model {spec.base!r} is not loaded here, or takes no adapters")
        loaded, bank = self._bases[spec.base]
        return bank.add(spec.name, load_adapter(adapter_folder(spec), spec.name, loaded.model))

    def unload(self, base: str, key: str) -> None:
        if base in self._bases:
            self._bases[base][1].remove(key)


@dataclass(frozen=True, slots=True)
class AdapterCall:
    """A checked request to load an adapter."""

    spec: AdapterSpec

    def allowed(self, models_dir: Path | None, *, from_hub: bool) -> AdapterSpec:
        """What to load. Raises: WorkerError (unsupported_parameter, invalid_request) unless the operator allows it."""
        asked = ModelSpec(self.spec.source, self.spec.name, self.spec.revision)
        found = LoadCall(asked).spec(models_dir, from_hub=from_hub)
        return AdapterSpec(self.spec.base, found.source, found.name, found.revision)


def parse_adapter(body: Json) -> AdapterCall:
    """`{base, source, name}`; without a name, the last part of the source. Raises: WorkerError that names the field."""
    fields = Fields(body)
    base, source = fields.text("base"), fields.text("source")
    name = fields.text("name") if fields.get("name") is not None else ""
    try:
        return AdapterCall(AdapterSpec.parse_parts(base, source, name))
    except ValueError as exc:
        raise invalid("name" if name else "source", str(exc)) from exc


def refused(exc: Exception) -> WorkerError:
    return invalid("source", str(exc))
