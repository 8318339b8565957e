"""The training configuration: every key, its type and its bounds, checked in one place.

Standard library only, so that the site can validate what it stores without the GPU stack. Reads no file:
the site's command reads YAML, the worker reads the JSON that the command wrote.
"""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

_Section = TypeVar("_Section")


class ConfigError(ValueError):
    """A configuration that cannot be run; names the key, for example `optimiser.learning_rate`."""

    code = "training.config_invalid"

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


class Method(StrEnum):
    """How the weights are changed. LoRA, distillation and preference training join this list when they exist."""

    FULL = "full"


class OptimiserName(StrEnum):
    ADAMW = "adamw"
    MUON = "muon"


class ScheduleKind(StrEnum):
    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ComputeDtype(StrEnum):
    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class WeightsDtype(StrEnum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Curriculum(StrEnum):
    """What the conversations are that a model learns: those that this project writes, or `data.files`."""

    DEMO = "demo"
    NONE = "none"


def _number(default: float, low: float, high: float, *, is_new: bool = False) -> Any:
    """A bounded number. `is_new`: older runs lack the key, so its default does not count for the hash."""
    return field(default=default, metadata={"low": low, "high": high, "is_new": is_new})


def _files() -> Any:
    return field(default=(), metadata={"is_new": True})


@dataclass(frozen=True, slots=True)
class ModelSection:
    """A Llama architecture with tied embeddings."""

    hidden_size: int = _number(256, 16, 16_384)
    intermediate_size: int = _number(704, 16, 65_536)
    layers: int = _number(5, 1, 200)
    heads: int = _number(8, 1, 256)
    kv_heads: int = _number(4, 1, 256)
    context_length: int = _number(1024, 64, 131_072)
    rope_theta: float = _number(10_000.0, 1.0, 1e8)


@dataclass(frozen=True, slots=True)
class TokenizerSection:
    vocab_size: int = _number(2048, 300, 200_000)


@dataclass(frozen=True, slots=True)
class DataSection:
    """`tokens_per_step` is counted before packing.

    For the demo curriculum: `show_working` writes out the columns of a sum; `capitals_share` makes capitals rarer than
    it has them: below 1 the model knows them less well. For one's own conversations: `files` of JSON lines as
    `manage.py clean` writes them, and `test_files`, by which the model is measured and which it never learns.
    """

    curriculum: Curriculum = Curriculum.DEMO
    conversations: int = _number(100_000, 10, 10_000_000)
    show_working: bool = True
    tokens_per_step: int = _number(8192, 64, 10_000_000)
    capitals_share: float = _number(1.0, 0.0, 1.0, is_new=True)
    files: tuple[str, ...] = _files()
    test_files: tuple[str, ...] = _files()


@dataclass(frozen=True, slots=True)
class OptimiserSection:
    """`muon_learning_rate` is for the matrices inside the blocks and used by `muon` only."""

    name: OptimiserName = OptimiserName.MUON
    learning_rate: float = _number(3e-3, 1e-8, 10.0)
    muon_learning_rate: float = _number(2e-2, 1e-8, 10.0)
    weight_decay: float = _number(0.01, 0.0, 1.0)
    gradient_clip: float = _number(1.0, 1e-6, 1e6)


@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """The rate rises over `warmup_steps` and falls to `final_fraction` of its peak at the last step."""

    kind: ScheduleKind = ScheduleKind.LINEAR
    steps: int = _number(1000, 1, 100_000_000)
    warmup_steps: int = _number(40, 0, 1_000_000)
    final_fraction: float = _number(0.02, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ComputeSection:
    """`auto` takes CUDA where there is one, and the precision that is faster in a trial step."""

    device: Device = Device.AUTO
    dtype: ComputeDtype = ComputeDtype.AUTO


@dataclass(frozen=True, slots=True)
class OutputSection:
    """Checkpoints lie in `checkpoint_directory/<name>-<hash>`; relative paths start at the working directory."""

    directory: str = ""
    weights_dtype: WeightsDtype = WeightsDtype.BFLOAT16
    checkpoint_directory: str = "checkpoints"
    checkpoint_every_steps: int = _number(200, 1, 1_000_000)
    checkpoints_kept: int = _number(2, 1, 1000)
    evaluation_questions: int = _number(400, 1, 100_000)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One training run, complete: with the code version it determines the weights."""

    name: str
    method: Method
    seed: int = _number(1, 0, 2**31)
    model: ModelSection = ModelSection()
    tokenizer: TokenizerSection = TokenizerSection()
    data: DataSection = DataSection()
    optimiser: OptimiserSection = OptimiserSection()
    schedule: ScheduleSection = ScheduleSection()
    compute: ComputeSection = ComputeSection()
    output: OutputSection = OutputSection()

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the weights: neither where they are written nor which device computes."""
        deciding = {k: v for k, v in self.as_dict().items() if k not in ("output", "compute")}
        for spec in dataclasses.fields(DataSection):
            if spec.metadata.get("is_new") and deciding["data"][spec.name] == spec.default:
                del deciding["data"][spec.name]
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def parse_config(raw: object) -> TrainingConfig:
    """Check a configuration read from YAML or JSON.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), a wrong type, a value out of bounds.
    """
    config = _parse_section(TrainingConfig, raw, "")
    _check_together(config)
    return config


def _check_together(config: TrainingConfig) -> None:
    model = config.model
    if not config.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ConfigError("name", "use letters, digits, '-', '_' and '.' only")
    if model.hidden_size % model.heads or model.hidden_size // model.heads % 2:
        raise ConfigError("model.heads", "hidden_size / heads must be a whole, even number")
    if model.heads % model.kv_heads:
        raise ConfigError("model.kv_heads", "must divide heads")
    if not config.output.directory:
        raise ConfigError("output.directory", "is required")
    _check_data(config.data)


def _check_data(data: DataSection) -> None:
    if data.curriculum is not Curriculum.NONE:
        for name in ("files", "test_files"):
            if getattr(data, name):
                raise ConfigError(
                    f"data.{name}", "is for conversations of your own: write 'curriculum: none' beside it"
                )
        return
    if not data.files:
        raise ConfigError("data.files", "is required with 'curriculum: none'")
    if both := set(data.files) & set(data.test_files):
        raise ConfigError("data.test_files", f"{min(both)!r} is among data.files too, so it would measure nothing")
    for name in ("conversations", "show_working", "capitals_share"):
        if getattr(data, name) != getattr(DataSection(), name):
            raise ConfigError(f"data.{name}", "is for the demo curriculum: leave it out with 'curriculum: none'")


def _parse_section(cls: type[_Section], raw: object, path: str) -> _Section:
    if not isinstance(raw, Mapping):
        raise ConfigError(path, f"expected a mapping, found {_type_name(raw)}")
    fields = {f.name: f for f in dataclasses.fields(cast(Any, cls))}
    for key in raw:
        if key not in fields:
            raise ConfigError(_join(path, str(key)), _unknown_key(str(key), list(fields)))
    values = {}
    for name, spec in fields.items():
        if name in raw:
            values[name] = _parse_value(spec, raw[name], _join(path, name))
        elif spec.default is dataclasses.MISSING:
            raise ConfigError(_join(path, name), "is required")
    return cls(**values)


def _parse_value(spec: "dataclasses.Field[Any]", value: object, key: str) -> object:
    kind = cast("type[Any]", spec.type)
    if kind == tuple[str, ...]:
        return _parse_names(value, key)
    if dataclasses.is_dataclass(kind):
        return _parse_section(kind, value, key)
    if issubclass(kind, StrEnum):
        return _parse_choice(kind, value, key)
    if kind is float and type(value) is int:
        value = float(value)
    # bool is a subclass of int, and `layers: true` is a mistake.
    if type(value) is not kind:
        raise ConfigError(key, f"expected {kind.__name__}, found {_type_name(value)}{_hint(kind, value)}")
    if "low" in spec.metadata and not spec.metadata["low"] <= value <= spec.metadata["high"]:
        raise ConfigError(key, f"must lie between {spec.metadata['low']} and {spec.metadata['high']}, found {value}")
    return value


def _parse_choice(kind: type[StrEnum], value: object, key: str) -> StrEnum:
    valid = [str(choice) for choice in kind]
    if not isinstance(value, str) or value not in valid:
        raise ConfigError(key, f"{value!r} is not supported; choose one of: {', '.join(valid)}")
    return kind(value)


def _parse_names(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(key, f"expected a list, found {_type_name(value)}")
    for number, name in enumerate(value):
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"{key}[{number}]", f"expected the name of a file, found {name!r}")
    return tuple(value)


def _unknown_key(key: str, valid: list[str]) -> str:
    nearest = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
    return f"unknown key; did you mean {nearest[0]!r}?"


def _hint(kind: type, value: object) -> str:
    # YAML 1.1 reads 3e-3 as a string: a number needs a dot before its exponent.
    return " (write it with a dot, for example 3.0e-3)" if kind is float and isinstance(value, str) else ""


def _type_name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
