"""The body of a request to load a model, checked, and where such models may come from.

The operator names one folder, the hub, both or neither; a remote caller reads nothing else of this machine.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from gpu_worker.errors import WorkerError, invalid, unsupported
from gpu_worker.modeling.source import ModelSpec, Quantisation
from gpu_worker.protocol import Json
from gpu_worker.server.fields import Fields

MAX_SOURCE = 1000
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class LoadCall:
    """A checked request. `parsed` has a hub id's revision taken out of its source."""

    parsed: ModelSpec

    @property
    def name(self) -> str:
        return self.parsed.name

    def spec(self, models_dir: Path | None, *, from_hub: bool) -> ModelSpec:
        """What to load. Raises: WorkerError (unsupported_parameter, invalid_request) unless the operator allows it."""
        if models_dir is None and not from_hub:
            raise unsupported("source", "this worker loads no models by request; see --models-dir and --load-from-hub")
        found = self._inside(models_dir) if models_dir and self.parsed.revision is None else None
        if found is not None:
            return ModelSpec(str(found), self.parsed.name, quantisation=self.parsed.quantisation)
        if not from_hub or not self.parsed.is_hub_id:
            raise self._not_found()
        if Path(self.parsed.source).exists():
            # Relative to where the worker was started, it would be read as a folder.
            raise self._not_found()
        return self.parsed

    def _inside(self, models_dir: Path) -> Path | None:
        """The folder, if there is one in `models_dir`; links that lead out of it do not count."""
        try:
            root = models_dir.resolve()
            folder = (root / self.parsed.source).resolve()
            return folder if folder != root and folder.is_relative_to(root) and folder.is_dir() else None
        except (OSError, ValueError, RuntimeError):
            return None

    def _not_found(self) -> WorkerError:
        return invalid("source", f"there is no model {self.parsed.source[:100]!r} that this worker may load")


def parse_load(body: Json) -> LoadCall:
    """Raises: WorkerError (invalid_request) that names the field."""
    fields = Fields(body)
    source = fields.text("source")
    if "=" in source or len(source) > MAX_SOURCE:
        raise invalid("source", f"expected at most {MAX_SOURCE} characters, and no '='")
    try:
        parsed = ModelSpec.parse(source)
    except ValueError as exc:
        raise invalid("source", "it names no model") from exc
    name = parsed.name if fields.get("name") is None else fields.text("name")
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise invalid("name", f"expected 1 to {MAX_NAME} printable characters")
    return LoadCall(replace(parsed, name=name, quantisation=_quantisation(fields.get("quantize"))))


def _quantisation(kind: object) -> Quantisation | None:
    if kind is None:
        return None
    if not isinstance(kind, str) or kind not in set(Quantisation):
        raise invalid("quantize", f"expected one of {', '.join(Quantisation)}, found {str(kind)[:40]!r}")
    return Quantisation(kind)
