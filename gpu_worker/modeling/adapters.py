"""PEFT's LoRA adapters from their folders: checked against the base model, and loaded beside its weights.

Only safetensors are read. What an adapter's config asks for and is not done here is refused by name, never ignored.
It applies nothing (`engine.lora` does).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from gpu_worker.engine.lora import LoraPair
from gpu_worker.modeling.quantise import QuantisedLinear
from gpu_worker.modeling.source import ModelRefused

MAX_CONFIG_BYTES = 1024 * 1024
MAX_RANK = 4096

WEIGHT_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")

NO_EFFECT = {
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("lora_dropout", "fan_in_fan_out", "init_lora_weights", "loftq_config", "eva_config", "megatron_core"),
    *("qalora_group_size", "runtime_config"),
}
"""Of PEFT's settings, those that say how an adapter was trained or begun, not what it computes."""

NEUTRAL_STARTS: tuple[object, ...] = (None, True, False, "gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` that leave the base's weights alone; PiSSA, OLoRA and others subtract from them."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The part of PEFT's LoraConfig that says what an adapter computes. Its names are PEFT's, whose matching reads it.

    Source: PEFT, `LoraConfig`.
    """

    r: int
    lora_alpha: float
    target_modules: str | list[str]
    use_rslora: bool = False
    exclude_modules: str | list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)

    def rank(self, module: str) -> int:
        return self.rank_pattern.get(_pattern_key(self.rank_pattern, module), self.r)

    def scaling(self, module: str) -> float:
        alpha = self.alpha_pattern.get(_pattern_key(self.alpha_pattern, module), self.lora_alpha)
        rank = self.rank(module)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    def targets(self, module: str) -> bool:
        from peft.tuners.tuners_utils import check_target_module_exists

        return bool(check_target_module_exists(self, module))


def load_adapter(folder: Path, name: str, model: Any) -> Mapping[str, LoraPair]:
    """Load an adapter for `model`, in its number format, where its modules are. Raises: ModelRefused."""
    config = read_config(folder, name)
    modules = dict(model.named_modules())
    pairs = {}
    for path, (down, up) in sorted(_read_weights(folder, name).items()):
        module: Any = modules.get(path)
        _check_pair(module, path, down, up, config=config, name=name)
        place = module.device if isinstance(module, QuantisedLinear) else module.weight.device
        if place.type == "meta":
            raise ModelRefused(f"{name}: a part of its base model is not in memory, and adapters need all of it")
        scaled = up.float() * config.scaling(path)
        pairs[path] = LoraPair(down.to(place, model.dtype), scaled.to(place, model.dtype))
    return MappingProxyType(pairs)


def read_config(folder: Path, name: str) -> LoraConfig:
    """Read and check `adapter_config.json`. Raises: ModelRefused."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise ModelRefused(f"{name}: the folder has no adapter_config.json, so it is not an adapter in PEFT's format")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelRefused(f"{name}: its adapter_config.json is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ModelRefused(f"{name}: its adapter_config.json is not valid JSON ({exc})") from exc
    if not isinstance(values, dict):
        raise ModelRefused(f"{name}: its adapter_config.json is not an object")
    _refuse_unsupported(values, name)
    return _checked(values, name)


def _refuse_unsupported(values: dict[str, Any], name: str) -> None:
    kind = values.get("peft_type")
    if kind != "LORA":
        raise ModelRefused(f"{name}: adapters of the type {str(kind)[:40]!r} are not supported, only LORA")
    task = values.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        raise ModelRefused(f"{name}: its task_type is {str(task)[:40]!r}, but it would have to generate text")
    if values.get("bias", "none") not in (None, "none"):
        raise ModelRefused(f"{name}: it changes biases (bias in its adapter_config.json), which is not supported")
    if not any(
        values.get("init_lora_weights") is start or values.get("init_lora_weights") == start for start in NEUTRAL_STARTS
    ):
        start = str(values["init_lora_weights"])[:40]
        raise ModelRefused(
            f"{name}: it was begun with init_lora_weights {start!r}, which changes the base's weights; convert it with "
            "PEFT's path_initial_model_for_weight_conversion"
        )
    known = NO_EFFECT | {"peft_type", "bias"} | {*LoraConfig.__dataclass_fields__}
    for setting, value in values.items():
        if setting not in known and value not in (None, False, "", [], {}):
            raise ModelRefused(f"{name}: its adapter_config.json sets {setting[:60]}, which is not supported")


def _checked(values: dict[str, Any], name: str) -> LoraConfig:
    given = {key: values[key] for key in LoraConfig.__dataclass_fields__ if values.get(key) is not None}
    ranks, alphas = given.get("rank_pattern", {}), given.get("alpha_pattern", {})
    checks = {
        "r": _is_rank(given.get("r")),
        "lora_alpha": _is_alpha(given.get("lora_alpha")),
        "target_modules": _is_texts(given.get("target_modules")),
        "exclude_modules": _is_texts(given.get("exclude_modules", [])),
        "layers_pattern": _is_texts(given.get("layers_pattern", [])),
        "layers_to_transform": _is_layers(given.get("layers_to_transform", [])),
        "use_rslora": isinstance(given.get("use_rslora", False), bool),
        "rank_pattern": isinstance(ranks, dict) and all(map(_is_rank, ranks.values())),
        "alpha_pattern": isinstance(alphas, dict) and all(map(_is_alpha, alphas.values())),
    }
    for setting, is_good in checks.items():
        if not is_good:
            raise ModelRefused(f"{name}: {setting} in its adapter_config.json is missing or makes no sense")
    return LoraConfig(**given)


def _is_rank(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_RANK


def _is_alpha(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e9  # type: ignore[arg-type]


def _is_texts(value: object) -> bool:
    texts = [value] if isinstance(value, str) else value
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _is_layers(value: object) -> bool:
    return type(value) is int or (isinstance(value, list) and all(type(item) is int for item in value))


def _pattern_key(patterns: Mapping[str, object], module: str) -> str:
    from peft.utils.other import get_pattern_key

    return str(get_pattern_key(list(patterns), module))


def _read_weights(folder: Path, name: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Both matrices of each module. Raises: ModelRefused."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        if (folder / "adapter_model.bin").is_file():
            raise ModelRefused(
                f"{name}: its weights are pickled, and loading a pickle can run any code; only safetensors are loaded"
            )
        raise ModelRefused(f"{name}: the folder has no weights (adapter_model.safetensors)")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    halves: dict[str, dict[str, torch.Tensor]] = {}
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as exc:
        raise ModelRefused(f"{name}: its weight file {path.name} is damaged or incomplete ({exc})") from exc
    for key, tensor in tensors.items():
        found = WEIGHT_KEY.fullmatch(key)
        if found is None:
            raise ModelRefused(f"{name}: it holds {key[:100]}, which is no LoRA matrix of a linear module")
        halves.setdefault(found["module"], {})[found["half"]] = tensor
    if not halves:
        raise ModelRefused(f"{name}: its weight file is empty")
    for module, found_halves in halves.items():
        if len(found_halves) != 2:
            raise ModelRefused(f"{name}: one of the two matrices of {module[:100]} is missing")
    return {module: (found_halves["A"], found_halves["B"]) for module, found_halves in halves.items()}


def _check_pair(module: Any, path: str, down: torch.Tensor, up: torch.Tensor, *, config: LoraConfig, name: str) -> None:
    shape = _linear_shape(module)
    if shape is None:
        raise ModelRefused(f"{name}: its base model has no linear module {path[:100]}")
    if "experts" in path:
        raise ModelRefused(f"{name}: it changes {path[:100]}, and experts' modules are not supported")
    try:
        is_named, rank = config.targets(path), config.rank(path)
    except re.error as exc:
        raise ModelRefused(f"{name}: a pattern in its adapter_config.json is malformed ({exc})") from exc
    if not is_named:
        raise ModelRefused(f"{name}: it has weights for {path[:100]}, which its target_modules do not name")
    n_in, n_out = shape
    if tuple(down.shape) != (rank, n_in) or tuple(up.shape) != (n_out, rank):
        raise ModelRefused(
            f"{name}: {path[:100]} is {n_in} by {n_out} in the base model and its rank is {rank}, but the adapter's "
            f"matrices are {tuple(down.shape)} and {tuple(up.shape)}: it belongs to another base"
        )
    for matrix in (down, up):
        if not matrix.is_floating_point() or not bool(matrix.float().isfinite().all()):
            raise ModelRefused(f"{name}: the matrices of {path[:100]} are not finite numbers")


def _linear_shape(module: Any) -> tuple[int, int] | None:
    """Inputs and outputs of a linear module, quantised or not; None for anything else."""
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear | QuantisedLinear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    return None
