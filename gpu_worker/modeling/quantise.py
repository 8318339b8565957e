"""Weights in 8 or 4 bits: a linear layer that computes with them, and a model whose linear layers become such.

Only weights are quantised, each output channel (int8) or block of 64 (nf4) with its own scale. What a row of the batch
gets never depends on the other rows. It loads and saves nothing.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu_worker.modeling.source import Quantisation

LEVELS = 63.0
"""Steps on each side of zero that an activation has in one pass. 7 bits with the sign, because processors without VNNI
add two products of 8 and 8 bits in 16 and would overflow."""

NF4_BLOCK = 64


class QuantisationMissing(Exception):
    """A package that this number format needs is not installed. The message is a sentence."""


def refuse_missing(kind: Quantisation) -> None:
    """Raises: QuantisationMissing."""
    if kind is Quantisation.NF4 and find_spec("bitsandbytes") is None:
        raise QuantisationMissing("nf4 needs the package bitsandbytes, which is not installed here")


class QuantisedWeight(ABC):
    """A weight `[n_out, n_in]` in few bits, to be called in place of `functional.linear`."""

    n_out: int
    n_in: int
    device: torch.device

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """`[..., n_in]` to `[..., n_out]`, in the number format of `x`."""

    @abstractmethod
    def dequantised(self) -> Tensor:
        """`[n_out, n_in]`, float32. Slow."""


def quantise(weight: Tensor, kind: Quantisation) -> QuantisedWeight:
    """Quantise `[n_out, n_in]` on the device where it is; it may be freed afterwards. Raises: QuantisationMissing."""
    refuse_missing(kind)
    weight = weight.detach()
    if kind is Quantisation.NF4:
        return Nf4Weight(weight)
    is_packed = weight.device.type == "cpu" and torch.backends.quantized.engine in ("x86", "fbgemm")
    return PackedInt8Weight(weight) if is_packed else Int8Weight(weight)


def _int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers `[n_out, n_in]` from -127 to 127, still as float32, and their scales `[n_out, 1]`."""
    weight = weight.float()
    scales = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return (weight / scales).round_(), scales


class Int8Weight(QuantisedWeight):
    """Any device: 8 bits in memory, and each call makes floats of them."""

    def __init__(self, weight: Tensor) -> None:
        self.n_out, self.n_in = weight.shape
        self.device = weight.device
        numbers, self._scales = _int8(weight)
        self._numbers = numbers.to(torch.int8)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._numbers.to(x.dtype)) * self._scales[:, 0].to(x.dtype)

    def dequantised(self) -> Tensor:
        return self._numbers.float() * self._scales


class PackedInt8Weight(QuantisedWeight):
    """x86 CPUs: products of whole numbers, several times the speed of float32 where memory is the limit.

    The library multiplies by activations of 8 bits with one scale for the whole batch. For a weight-only result that
    no neighbour in the batch can change, each row is first divided by its own largest value, and then sent as two rows:
    its numbers in 7 bits, and what that rounding left over, in 7 bits again. The error is below 1e-4 of the largest.
    """

    def __init__(self, weight: Tensor) -> None:
        self.n_out, self.n_in = weight.shape
        self.device = weight.device
        numbers, scales = _int8(weight)
        zeros = torch.zeros(self.n_out, dtype=torch.long)
        with warnings.catch_warnings():
            # These tensors will leave torch one day. Nothing else in it computes 8 bits faster than floats on
            # AVX2, and the version of torch is pinned.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions", category=UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                numbers.to(torch.int8), scales[:, 0].double(), zeros, 0
            )
            self._packed = torch.ops.quantized.linear_prepack(quantised, None)

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.n_in).float()
        largest = torch.linalg.vector_norm(rows, torch.inf, -1, keepdim=True)
        largest = largest.clamp_min_(torch.finfo(torch.float32).tiny).div_(LEVELS)
        whole, left_over = parts = torch.empty(2, *rows.shape)
        rows = rows / largest
        torch.round(rows, out=whole)
        torch.sub(rows, whole, out=left_over).mul_(2 * LEVELS)
        products = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            parts.view(-1, self.n_in), 1.0, 64, self._packed
        ).view(2, -1, self.n_out)
        result = torch.add(products[0], products[1], alpha=1 / (2 * LEVELS)).mul_(largest)
        return result.view(*x.shape[:-1], self.n_out).to(x.dtype)

    def dequantised(self) -> Tensor:
        quantised, _ = torch.ops.quantized.linear_unpack(self._packed)
        weight: Tensor = torch.dequantize(quantised)
        return weight


class Nf4Weight(QuantisedWeight):
    """4 bits by bitsandbytes: the least memory, not the most speed.

    Source: Dettmers et al. (2023), QLoRA, section 3.
    """

    def __init__(self, weight: Tensor) -> None:
        from bitsandbytes import functional as bnb

        self.n_out, self.n_in = weight.shape
        self.device = weight.device
        # One row for each block: on CPUs with AVX-512 the library (0.50) reads other blocks' scales where a row is not
        # a whole number of them.
        rows = weight.reshape(-1, NF4_BLOCK) if weight.numel() % NF4_BLOCK == 0 else weight.reshape(1, -1)
        self._packed, self._state = bnb.quantize_4bit(rows.contiguous(), blocksize=NF4_BLOCK, quant_type="nf4")

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight().to(x.dtype))

    def dequantised(self) -> Tensor:
        return self._weight().float()

    def _weight(self) -> Tensor:
        from bitsandbytes import functional as bnb

        weight: Tensor = bnb.dequantize_4bit(self._packed, self._state)
        return weight.view(self.n_out, self.n_in)


class QuantisedLinear(nn.Module):
    """What a quantised weight is within a model: used as `nn.Linear` is."""

    weight = None
    """T5's layers ask for the number format of this one; there is none to be adapted to."""

    def __init__(self, weight: QuantisedWeight, bias: Tensor | None, kind: Quantisation) -> None:
        super().__init__()
        self.quantised = weight
        self.kind = kind
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self._first_row: int | None = None
        """Where this layer's outputs begin in those of a fused weight."""
        self.in_features = weight.n_in
        self.out_features = weight.n_out

    @classmethod
    def of(cls, linear: nn.Linear, kind: Quantisation, device: torch.device | None = None) -> "QuantisedLinear":
        """Quantised on `device`, where the layer is then to be used."""
        bias = None if linear.bias is None else linear.bias.to(device)
        return cls(quantise(linear.weight.to(device), kind), bias, kind)

    @property
    def device(self) -> torch.device:
        return self.quantised.device

    def forward(self, x: Tensor) -> Tensor:
        result = self.quantised(x)
        if self._first_row is not None:
            result = result[..., self._first_row : self._first_row + self.out_features]
        return result if self.bias is None else result + self.bias

    def become_part_of(self, fused: QuantisedWeight, first_row: int) -> None:
        """Compute from another's weight from now on, and let go of the own one."""
        self.quantised = fused
        self._first_row = first_row


def fuse(layers: Sequence[QuantisedLinear]) -> QuantisedLinear:
    """One layer that computes what several with the same input do, their outputs one after the other.

    The layers stay usable, but slower, and share the new one's memory.
    """
    weight = quantise(torch.cat([layer.quantised.dequantised() for layer in layers]), layers[0].kind)
    fused = QuantisedLinear(weight, _joined_bias(layers), layers[0].kind)
    first_row = 0
    for layer in layers:
        layer.become_part_of(weight, first_row)
        first_row += layer.out_features
    return fused


def _joined_bias(layers: Sequence[QuantisedLinear]) -> Tensor | None:
    biases = [layer.bias for layer in layers]
    if all(bias is None for bias in biases):
        return None
    return torch.cat(
        [torch.zeros(layer.out_features) if bias is None else bias for layer, bias in zip(layers, biases, strict=True)]
    )


def quantise_model(model: Any, kind: Quantisation, device: torch.device | None = None) -> None:
    """Replace the linear layers of a model and move it to `device`: one at a time, so that it is never twice in memory.

    With nf4 the output layer stays as it is: 4 bits there cost more than they save.
    """
    refuse_missing(kind)
    kept = model.get_output_embeddings() if kind is Quantisation.NF4 else None
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child is not kept:
                setattr(parent, name, QuantisedLinear.of(child, kind, device))
    if device is not None:
        model.to(device)
