"""Keys and values of the running requests on a CPU, laid out so that attention reads many rows in one call.

Rows of one capacity stand side by side in slabs: what a step reads of a slab is one rectangle. A row that grows moves
on to the next capacity, and the last row of a capacity takes the place of one that leaves. So no more memory is held
than the capacities of the rows. `cache` has one rectangle for all rows, for what computes them in a single call.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

SLAB_ROWS = 16
"""Of a full slab. More rows in one call gain little (`docs/log.md`)."""

GRAIN_TOKENS = 64
"""The smallest capacity, and the step between capacities up to eight times as many; each doubling doubles the step."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """What one token needs in the cache."""

    n_layers: int
    n_heads: int
    head_size: int
    dtype: torch.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """Some rows of one capacity: `[layers, 2, rows, heads, capacity, head size]`."""

    states: torch.Tensor

    @property
    def n_rows(self) -> int:
        return self.states.shape[2]


@dataclass(slots=True, eq=False)
class Row:
    """Where one request's keys and values lie. It changes as rows come, grow and go."""

    slab: Slab
    index: int

    @property
    def states(self) -> torch.Tensor:
        """`[layers, 2, heads, capacity, head size]`, in place."""
        return self.slab.states[:, :, self.index]

    @property
    def capacity(self) -> int:
        return self.slab.states.shape[4]


class Rows:
    """All rows, by the names of their requests."""

    def __init__(self, shape: RowShape) -> None:
        self._shape = shape
        self._rows: dict[str, Row] = {}
        self._shelves: dict[int, _Shelf] = {}
        """By capacity; an empty one holds no memory."""

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    @property
    def n_tokens_held(self) -> int:
        return sum(shelf.n_rows * capacity for capacity, shelf in self._shelves.items())

    def add(self, lengths: Mapping[str, int]) -> None:
        """New rows, by name, with room for so many tokens each."""
        rows = self._new_rows(list(lengths.values()))
        self._rows.update(zip(lengths, rows, strict=True))

    def drop(self, name: str, *, wipe: bool = False) -> None:
        """`wipe`: its numbers are not finite. A later row's attention would multiply them by 0, which gives NaN."""
        row = self._rows.pop(name)
        if wipe:
            row.states.zero_()
        self._shelf(row.capacity).remove([row])

    def reserve(self, lengths: Mapping[str, int]) -> None:
        """Have room for so many tokens in each row. When a row must move, what it holds is copied."""
        growing = {name: n for name, n in lengths.items() if n > self._rows[name].capacity}
        new = self._new_rows(list(growing.values()))
        leaving: dict[int, list[Row]] = {}
        for name, row in zip(growing, new, strict=True):
            old, self._rows[name] = self._rows[name], row
            row.states[:, :, :, : old.capacity] = old.states
            leaving.setdefault(old.capacity, []).append(old)
        for capacity, rows in leaving.items():
            self._shelf(capacity).remove(rows)

    def _new_rows(self, lengths: Sequence[int]) -> list[Row]:
        """In the order of the lengths. All rows of a capacity are made at once, so that its slabs change once."""
        capacities = [capacity_for(n_tokens) for n_tokens in lengths]
        made = {capacity: iter(self._shelf(capacity).add(n)) for capacity, n in Counter(capacities).items()}
        return [next(made[capacity]) for capacity in capacities]

    def clear(self) -> None:
        self._rows.clear()
        self._shelves.clear()

    def _shelf(self, capacity: int) -> "_Shelf":
        if capacity not in self._shelves:
            self._shelves[capacity] = _Shelf(self._shape, capacity)
        return self._shelves[capacity]


class _Shelf:
    """All rows of one capacity, in as many full slabs as they fill and smaller ones for the rest."""

    def __init__(self, shape: RowShape, capacity: int) -> None:
        self._shape = shape
        self._capacity = capacity
        self._rows: list[Row] = []
        self._slabs: list[Slab] = []

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    def add(self, n_rows: int) -> list[Row]:
        rows = [Row(Slab(torch.empty(0)), 0) for _ in range(n_rows)]
        self._rows += rows
        self._fit()
        return rows

    def remove(self, rows: Sequence[Row]) -> None:
        for row in rows:
            last = self._rows.pop()
            if last is not row:
                row.states.copy_(last.states)
                self._rows[self._rows.index(row)] = last
                last.slab, last.index = row.slab, row.index
        self._fit()

    def _fit(self) -> None:
        """Have slabs for exactly the rows that there are; rows whose slab stays are not touched."""
        sizes = slab_sizes(len(self._rows))
        n_kept = 0
        while n_kept < min(len(sizes), len(self._slabs)) and self._slabs[n_kept].n_rows == sizes[n_kept]:
            n_kept += 1
        del self._slabs[n_kept:]
        first = sum(sizes[:n_kept])
        for size in sizes[n_kept:]:
            self._slabs.append(self._filled(self._rows[first : first + size]))
            first += size

    def _filled(self, rows: Sequence[Row]) -> Slab:
        """A new slab with these rows, which from now on lie in it.

        Zeros, not uninitialised memory: a column behind a row's end takes part in the product with the values, as 0
        times what is there.
        """
        shape = self._shape
        size = (shape.n_layers, 2, len(rows), shape.n_heads, self._capacity, shape.head_size)
        slab = Slab(torch.zeros(size, dtype=shape.dtype))
        for index, row in enumerate(rows):
            if row.slab.states.numel():
                slab.states[:, :, index] = row.states
            row.slab, row.index = slab, index
        return slab


def slab_sizes(n_rows: int) -> list[int]:
    """Full slabs and then powers of two: `n_rows` together, and a row that comes or goes moves few others."""
    rest = n_rows % SLAB_ROWS
    halves = [size for size in (SLAB_ROWS >> shift for shift in range(1, SLAB_ROWS.bit_length())) if rest & size]
    return [SLAB_ROWS] * (n_rows // SLAB_ROWS) + halves


def capacity_for(n_tokens: int) -> int:
    """The smallest capacity that holds so many tokens: at most a quarter more, or `GRAIN_TOKENS`."""
    grain = GRAIN_TOKENS
    while n_tokens > 8 * grain:
        grain *= 2
    return max(-(-n_tokens // grain), 1) * grain


def footprint(lengths: Sequence[int]) -> int:
    """Tokens that rows of these lengths occupy together."""
    return sum(map(capacity_for, lengths))
