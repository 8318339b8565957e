"""What a model will need in memory, what is free, and how many tokens of keys and values fit beside the weights.

It reads sizes; it allocates nothing.
"""

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch

from gpu_worker.modeling.device import available_memory_bytes
from gpu_worker.modeling.source import ModelRefused, Quantisation

CPU_SHARE = 0.4
"""Of the memory that is free on the host, for caches; the rest is for activations and for everybody else there."""

CUDA_SHARE = 0.8
"""Of the memory that is free on the GPU once the weights are there; the rest is for activations."""

LEAST_CACHE_TOKENS = 512
"""With room for fewer, a model is not worth loading."""

WORKING_BYTES = 64 * 2**20
"""For activations, beside a twentieth of the weights."""

BYTES_PER_WEIGHT = {Quantisation.INT8: 1.01, Quantisation.NF4: 0.5625}
"""The scales included: one float32 per row, and one per 64 weights."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the header of a weight file describes it."""

    name: str
    shape: tuple[int, ...]

    @property
    def n_parameters(self) -> int:
        return prod(self.shape)

    @property
    def is_linear(self) -> bool:
        """By its name: a matrix that is no table of embeddings."""
        is_table = any(word in self.name for word in ("embed", "wte", "wpe", "shared", "relative_attention_bias"))
        return len(self.shape) == 2 and self.name.endswith(".weight") and not is_table


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """An estimate, in bytes on the device where the model will run."""

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.working


def estimate(
    tensors: list[StoredTensor],
    *,
    bytes_per_parameter: int,
    quantisation: Quantisation | None,
    token_bytes: int,
    working_bytes: int = 0,
) -> MemoryNeed:
    """What a model needs at least. On a CPU, loading a model that is then quantised needs more for a moment.

    `working_bytes`: for activations, beside those of every model.
    """
    few_bytes = BYTES_PER_WEIGHT[quantisation] if quantisation else bytes_per_parameter
    weights = sum(tensor.n_parameters * (few_bytes if tensor.is_linear else bytes_per_parameter) for tensor in tensors)
    if quantisation is Quantisation.INT8 and not any("lm_head" in tensor.name for tensor in tensors):
        # The output layer shares the table of embeddings, and gets its own copy in 8 bits.
        tables = (tensor.n_parameters for tensor in tensors if len(tensor.shape) == 2 and not tensor.is_linear)
        weights += max(tables, default=0) * few_bytes
    return MemoryNeed(
        weights=int(weights),
        cache=LEAST_CACHE_TOKENS * token_bytes,
        working=WORKING_BYTES + int(weights) // 20 + working_bytes,
    )


@dataclass(slots=True)
class MemoryLedger:
    """What the models of a process hold on its devices, for the limit of `--max-memory`. Used by one thread."""

    devices: tuple[torch.device, ...]
    """More than one: a model is spread over all of them. See `on` for one that is not."""
    limit: int | None = None
    _weights: dict[str, int] = field(default_factory=dict)
    _caches: dict[str, int] = field(default_factory=dict)

    def on(self, devices: tuple[torch.device, ...]) -> "MemoryLedger":
        """The same books, for a model that lies on these devices and no others."""
        return replace(self, devices=devices)

    def free_bytes(self) -> int:
        """What a new model may take: of the devices' memory, and of the limit."""
        free = sum(map(device_free_bytes, self.devices))
        return free if self.limit is None else min(free, self.limit - self.held_bytes)

    def admit(self, name: str, need: MemoryNeed, *, loading: int = 0, hint: str = "") -> None:
        """Note a model that is about to be loaded. `loading`: host memory that loading takes besides, for a moment.

        `hint`: what would make it need less, for the refusal.
        Raises: ModelRefused, with what it needs and what is free.
        """
        free = self.free_bytes()
        if need.total > free:
            place = (
                f"free on {' and '.join(map(str, self.devices))}"
                if self.limit is None
                else "left of --max-memory and free"
            )
            raise ModelRefused(
                f"{name}: it needs about {in_gib(need.total)} (weights {in_gib(need.weights)}, smallest cache "
                f"{in_gib(need.cache)}, working memory {in_gib(need.working)}), and {in_gib(max(free, 0))} are {place}"
                + (f"; {hint}" if hint else "")
            )
        if loading > available_memory_bytes():
            raise ModelRefused(
                f"{name}: to be quantised it must first be read whole, which takes {in_gib(loading)} of host memory, "
                f"and {in_gib(available_memory_bytes())} are free"
            )
        self._weights[name] = need.weights

    def add_weights(self, name: str, n_bytes: int) -> None:
        """A model that was admitted keeps more than was estimated: a second form of its weights."""
        self._weights[name] += n_bytes

    def grant_cache(self, name: str, token_bytes: int, *, n_waiting: int) -> int:
        """Tokens that the cache of a loaded model may hold; `n_waiting` models still have to get theirs."""
        share = CUDA_SHARE if self.devices[0].type == "cuda" else CPU_SHARE
        n_models = n_waiting + 1 + len(self._caches)
        # Keys and values lie beside their layers, about as many on each device: the fullest one says how many.
        budget = share * len(self.devices) * min(map(device_free_bytes, self.devices)) / n_models
        if self.limit is not None:
            budget = min(budget, (self.limit - self.held_bytes) / (n_waiting + 1))
        n_tokens = max(int(budget / token_bytes), 1)
        self._caches[name] = n_tokens * token_bytes
        return n_tokens

    def release(self, name: str) -> None:
        """A model is gone, or has failed to load."""
        self._weights.pop(name, None)
        self._caches.pop(name, None)

    @property
    def held_bytes(self) -> int:
        """Weights as estimated, and caches as granted."""
        return sum(self._weights.values()) + sum(self._caches.values())


def device_free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory_bytes()


def bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers; 1 where no layer is attention. `config`: of the whole model."""
    config = config.get_text_config()
    # Of encoder and decoder, only the decoder's layers keep any: of the prompt, and of their own tokens as many bytes.
    n_layers = getattr(config, "num_decoder_layers", None) or config.num_hidden_layers
    if not getattr(config, "num_attention_heads", None):
        return 1
    n_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * n_layers * n_heads * head_size * dtype.itemsize)


def encoder_working_bytes(config: Any, n_tokens: int, dtype: torch.dtype) -> int:
    """What encoding a prompt of so many tokens takes for a moment: a bias for each head and pair of tokens, and about
    as much again for finding it. Source: transformers `T5Attention.compute_bias`."""
    return int(2 * config.num_attention_heads * n_tokens**2 * dtype.itemsize)


def in_gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
