"""The layers of the Llama family (Llama, Mistral, Qwen2, Qwen3) as plain tensors, for the lean forward pass on a CPU.

A small model's step on a CPU is mostly the cost of calling: transformers' modules make about three times as many calls
as these. Query, key and value come from one product, gate and up from another. The fused weights replace those of the
transformers model, which keeps views of them: nothing is stored twice but what `products` packs.

Linear modules that are quantised stay so, and adapters add to what they adapt. No attention and no cache here (`lean`).

Source: Touvron et al. (2023), Llama; Jiang et al. (2023), Mistral 7B; the Qwen2 and Qwen3 technical reports; the shapes
are those of transformers' models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gpu_worker.engine.lora import Routing, add_lora
from gpu_worker.engine.products import Linear, choose_for_one_row, is_worth_packing
from gpu_worker.modeling.quantise import QuantisedLinear
from gpu_worker.modeling.quantise import fuse as fuse_quantised

Product = Callable[[torch.Tensor], torch.Tensor]
"""`[tokens, in]` to `[tokens, out]`."""

MODEL_TYPES = {"llama", "mistral", "qwen2", "qwen3"}
FLOATS = {torch.float32, torch.bfloat16}
ROPE_TYPES = {"default", "linear", "llama3", "yarn"}
"""Rotations that depend on the position alone. The others change with the length of the text."""

PACKED_SHARE = 0.25
"""Of the free memory, for the packed copies of all weights."""


class Projection:
    """One product that stands for one or several linear modules of the same input, adapters included."""

    def __init__(self, product: Product, parts: Mapping[str, int]) -> None:
        """`parts`: the modules' paths in the model and their output sizes, in order."""
        self.product = product
        self._parts: list[tuple[str, int, int]] = []
        start = 0
        for module, size in parts.items():
            self._parts.append((module, start, start + size))
            start += size

    def __call__(self, x: torch.Tensor, routing: Routing | None) -> torch.Tensor:
        y = self.product(x)
        if routing is not None:
            for module, start, end in self._parts:
                add_lora(y[:, start:end], x, module, routing)
        return y


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block."""

    input_norm: torch.Tensor
    qkv: Projection
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    out: Projection
    post_norm: torch.Tensor
    gate_up: Projection
    down: Projection


class Rotations:
    """Cosines and signed sines of all positions so far, by the model's own formula."""

    def __init__(self, rotary: Any, head_size: int, dtype: torch.dtype) -> None:
        self._rotary = rotary
        self._dtype = dtype
        self._sign = torch.ones(head_size)
        self._sign[: head_size // 2] = -1
        self._cos = self._sin = torch.empty(0)

    def at(self, positions: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """`[tokens, 1, head size]` each, for `rotate`."""
        if (last := max(positions)) >= len(self._cos):
            self._compute(last + 1 + ROTATIONS_AHEAD)
        places = torch.tensor(positions)
        return self._cos[places], self._sin[places]

    def _compute(self, n_positions: int) -> None:
        cos, sin = self._rotary(self._sign, torch.arange(n_positions)[None])
        self._cos = cos[0][:, None].to(self._dtype)
        self._sin = (sin[0] * self._sign)[:, None].to(self._dtype)


ROTATIONS_AHEAD = 1024


@dataclass(frozen=True, slots=True)
class Llama:
    """A model's weights and sizes."""

    embedding: torch.Tensor
    layers: list[Layer]
    norm: torch.Tensor
    head: Projection
    n_heads: int
    n_kv_heads: int
    head_size: int
    eps: float
    rotations: Rotations
    packed_bytes: int
    """Of the second copies that its larger weights have in oneDNN's order."""

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.dtype

    def normed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, weight, self.eps)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Source: Zhang and Sennrich (2019), Root Mean Square Layer Normalization, equation 4.

    Through the vector norm because on a CPU that is two thirds of the time of torch's own `rms_norm`.
    """
    if x.dtype != torch.float32:
        return rms_norm(x.float(), weight.float(), eps).to(x.dtype)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = norm.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
    normed: torch.Tensor = (x * scale).mul_(weight)
    return normed


def rotate_(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Rotate pairs of dimensions half a head apart, `[tokens, heads, head size]`, in place. `sin` carries the sign.

    Source: Su et al. (2021), RoFormer, equation 34, in the order that Llama's checkpoints have.
    """
    halves_swapped = x.roll(x.shape[-1] // 2, -1)
    x.mul_(cos).addcmul_(halves_swapped, sin)


def supports(model: Any) -> bool:
    """Whether the lean forward computes this transformers model."""
    config = model.config
    if model.device.type != "cpu" or config.model_type not in MODEL_TYPES or model.dtype not in FLOATS:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {kind for group in _groups(model) for kind in {type(linear) for linear in group}}
    is_plain = kinds <= {nn.Linear, QuantisedLinear} and all(len(set(map(type, g))) == 1 for g in _groups(model))
    is_known = rope.get("rope_type", "default") in ROPE_TYPES and config.hidden_act == "silu"
    return is_known and is_plain and not _slides(config)


def _slides(config: Any) -> bool:
    """Whether some layer looks back less far than the context reaches."""
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    return window is not None and kinds != {"full_attention"} and window < config.max_position_embeddings


def _groups(model: Any) -> list[list[Any]]:
    """The linear modules, those of the same input together."""
    groups = [[model.lm_head]]
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        groups += [[attention.q_proj, attention.k_proj, attention.v_proj], [attention.o_proj]]
        groups += [[mlp.gate_proj, mlp.up_proj], [mlp.down_proj]]
    return groups


def fuse(model: Any, *, free_bytes: int) -> Llama:
    """The lean form of a model that `supports` accepts. The model's own weights become views of the fused ones."""
    packed_bytes = _packed_bytes(model)
    packs = packed_bytes <= PACKED_SHARE * free_bytes
    names = {module: name for name, module in model.named_modules()}
    config = model.config
    head_size = model.model.layers[0].self_attn.head_dim
    llama = Llama(
        embedding=model.get_input_embeddings().weight.detach(),
        layers=[_layer(layer, names, packs=packs) for layer in model.model.layers],
        norm=model.model.norm.weight.detach(),
        head=_projection([model.lm_head], names, packs=packs),
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads,
        head_size=head_size,
        eps=config.rms_norm_eps,
        rotations=Rotations(model.model.rotary_emb, head_size, model.dtype),
        packed_bytes=packed_bytes if packs else 0,
    )
    projections = [one for layer in llama.layers for one in (layer.qkv, layer.out, layer.gate_up, layer.down)]
    choose_for_one_row([one.product for one in (*projections, llama.head) if isinstance(one.product, Linear)])
    return llama


def _packed_bytes(model: Any) -> int:
    """What packing all weights that are worth it would take."""
    products = [[linear.weight for linear in group] for group in _groups(model) if type(group[0]) is nn.Linear]
    return sum(
        sum(weight.nbytes for weight in weights)
        for weights in products
        if is_worth_packing(sum(weight.numel() for weight in weights), weights[0].dtype)
    )


def _layer(layer: Any, names: Mapping[Any, str], *, packs: bool) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Layer(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_projection([attention.q_proj, attention.k_proj, attention.v_proj], names, packs=packs),
        q_norm=None if q_norm is None else q_norm.weight.detach(),
        k_norm=None if k_norm is None else k_norm.weight.detach(),
        out=_projection([attention.o_proj], names, packs=packs),
        post_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=_projection([mlp.gate_proj, mlp.up_proj], names, packs=packs),
        down=_projection([mlp.down_proj], names, packs=packs),
    )


def _projection(modules: list[Any], names: Mapping[Any, str], *, packs: bool) -> Projection:
    parts = {names[module]: module.out_features for module in modules}
    if isinstance(modules[0], QuantisedLinear):
        return Projection(modules[0] if len(modules) == 1 else fuse_quantised(modules), parts)
    return Projection(_fused(modules, packs=packs), parts)


def _fused(modules: list[Any], *, packs: bool) -> Linear:
    """One product for several linear modules, whose weights become parts of its weight."""
    if len(modules) == 1:
        (module,) = modules
        return Linear(module.weight.detach(), None if module.bias is None else module.bias.detach(), packs=packs)
    weight = torch.cat([module.weight.detach() for module in modules])
    start = 0
    for module in modules:
        module.weight.data = weight[start : start + module.out_features]
        start += module.out_features
    biases = [module.bias.detach() for module in modules if module.bias is not None]
    return Linear(weight, torch.cat(biases) if biases else None, packs=packs)
