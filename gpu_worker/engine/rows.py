"""Keys and values of one running request, in memory of its own that grows with it.

On a CPU nothing is gained by one rectangle for all requests: there attention reads each row by itself, without a mask
and without padding, and memory is what the tokens need, rounded up to blocks. `cache` has the rectangle, for what
computes all rows in one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

GROWTH_TOKENS = 64
"""A row grows by so much at a time: its tokens are copied once for each such step."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """What one token needs in the cache."""

    n_layers: int
    n_heads: int
    head_size: int
    dtype: torch.dtype


class Row:
    """One request's keys and values: `[layers, 2, 1, heads, capacity, head size]`."""

    def __init__(self, shape: RowShape, n_tokens: int) -> None:
        self._shape = shape
        self.states = self._allocate(n_tokens)

    @property
    def capacity(self) -> int:
        return self.states.shape[4]

    def reserve(self, n_tokens: int) -> None:
        """Have room for so many tokens. What is there is copied, once per block."""
        if n_tokens > self.capacity:
            old, self.states = self.states, self._allocate(n_tokens)
            self.states[:, :, :, :, : old.shape[4]] = old

    def views(self, start: int, end: int) -> list[torch.Tensor]:
        """For each layer `[2, 1, heads, end - start, head size]`."""
        return list(self.states[:, :, :, :, start:end].unbind(0))

    def _allocate(self, n_tokens: int) -> torch.Tensor:
        shape = self._shape
        size = (shape.n_layers, 2, 1, shape.n_heads, rounded_up(n_tokens), shape.head_size)
        return torch.empty(size, dtype=shape.dtype)


def footprint(lengths: Sequence[int]) -> int:
    """Tokens that rows of these lengths occupy together."""
    return sum(map(rounded_up, lengths))


def rounded_up(n_tokens: int) -> int:
    return -(-n_tokens // GROWTH_TOKENS) * GROWTH_TOKENS
