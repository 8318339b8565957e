"""A weight times the tokens of a step, on a CPU, by the product that is fastest for so many tokens.

MKL's product of a few rows with a transposed matrix reaches a third of what the same product reaches the other way
round, and of what oneDNN reaches on packed weights. For a single row, which of the two is faster depends on the
processor: by a fifth this way on one, by a quarter the other way on another (`docs/log.md`). So that is measured.
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

PACKED_FROM = 500_000
"""Weights of so many numbers are multiplied in oneDNN's own order. Smaller ones gain less than such a call costs."""

RACED_BYTES = 256 * 2**20
"""Of weights, the largest first: more than most processors keep in a cache, and soon read."""

RACES = 5
"""The best time of each counts, so that whatever else runs meanwhile decides nothing."""


class Linear:
    """A linear layer."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, packs: bool) -> None:
        """`weight` is `[out, in]`. `packs`: a second copy of a large weight is affordable."""
        self.weight = weight
        self.bias = bias
        self.packs_one_row = True
        """Whether the second copy serves a single row, too."""
        self._packed: torch.Tensor | None = None
        if packs and is_worth_packing(weight.numel(), weight.dtype):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)

    @property
    def is_packed(self) -> bool:
        return self._packed is not None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[tokens, in]` to `[tokens, out]`."""
        is_one = x.shape[0] == 1
        if self._packed is not None and (self.packs_one_row or not is_one):
            product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
            return product
        if is_one:
            return functional.linear(x, self.weight, self.bias)
        product = torch.mm(self.weight, x.t()).t()
        return product if self.bias is None else product + self.bias


def is_worth_packing(n_numbers: int, dtype: torch.dtype) -> bool:
    """oneDNN takes bfloat16 only where the processor has AVX-512."""
    is_taken = dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return n_numbers >= PACKED_FROM and is_taken


def choose_for_one_row(linears: Sequence[Linear]) -> None:
    """Let the packed ones of a model serve a single row by their copies, or as they are: whichever is faster here."""
    packed = [linear for linear in linears if linear.is_packed]
    if not packed:
        return
    raced: list[Linear] = []
    for linear in sorted(packed, key=lambda one: one.weight.nbytes, reverse=True):
        if sum(one.weight.nbytes for one in raced) < RACED_BYTES:
            raced.append(linear)
    rows = {one.weight.shape[1]: one.weight.new_ones((1, one.weight.shape[1])) for one in raced}

    def pass_with(packs: bool) -> float:
        for one in raced:
            one.packs_one_row = packs
        return _time(lambda: [one(rows[one.weight.shape[1]]) for one in raced])

    times = [(pass_with(True), pass_with(False)) for _ in range(RACES)]
    is_faster = min(with_copy for with_copy, _ in times) <= min(without for _, without in times)
    for linear in packed:
        linear.packs_one_row = is_faster


def _time(work: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at
