"""The keys and values of all running requests, one row each, so that they decode as one batch.

Rows are compact: row i of the batch is row i of every tensor, and a row that leaves is replaced by the last one. So
a step reads plain views, without gathering. Lengths grow in blocks. The cache does not know requests, only rows.

Layout per layer: keys and values `[rows, heads, columns, head size]`, as attention reads them: one head's history is
one run of memory. (With heads inside of columns, attention over long rows took more than twice as long on a CPU.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

BLOCK_ROWS = 8
BLOCK_COLUMNS = 256


@dataclass(slots=True)
class Window:
    """The part of the cache that one forward pass reads and writes. All layers share it."""

    first_row: int
    end_row: int
    n_columns: int
    """Columns that this pass reads."""
    positions: torch.Tensor
    """[rows, tokens]: where each new token stands in its row."""
    n_columns_held: int
    """Columns of the whole rectangle."""
    _places: dict[tuple[int, torch.device], torch.Tensor] = field(default_factory=dict)

    def places(self, n_heads: int, device: torch.device) -> torch.Tensor:
        """`[rows * heads * tokens]`: where each new entry goes in a rectangle seen as one list of entries.

        `device`: of the layer; a model may be spread over several.
        """
        key = (n_heads, device)
        if key not in self._places:
            positions = self.positions.to(device)
            rows = torch.arange(self.first_row, self.end_row, device=device)[:, None]
            lines = rows * n_heads + torch.arange(n_heads, device=device)
            places = lines[:, :, None] * self.n_columns_held + positions[:, None, :]
            self._places[key] = places.view(-1)
        return self._places[key]


class BatchLayer(CacheLayerMixin):
    """One layer's keys and values."""

    is_sliding = False
    is_croppable = False

    def __init__(self, owner: "BatchCache") -> None:
        super().__init__()
        self._owner = owner
        self.keys: torch.Tensor
        self.values: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate as the first keys and values come by: only they tell heads, head size, dtype and device."""
        self.keys = self._owner.new_rectangle(key_states)
        self.values = self._owner.new_rectangle(value_states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store `[rows, heads, tokens, size]` at the window's positions; return the window's rows up to `n_columns`."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._owner.window
        return _store(self.keys, key_states, window), _store(self.values, value_states, window)

    def resize(self, n_rows: int, n_columns: int) -> None:
        if self.is_initialized:
            self.keys = _resized(self.keys, n_rows, n_columns)
            self.values = _resized(self.values, n_rows, n_columns)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.window.n_columns, 0

    def get_seq_length(self) -> int:
        return self._owner.window.n_columns - self._owner.window.positions.shape[1]

    def get_max_length(self) -> int:
        return -1


def _store(rectangle: torch.Tensor, states: torch.Tensor, window: Window) -> torch.Tensor:
    n_heads, size = rectangle.shape[1], rectangle.shape[3]
    rectangle.view(-1, size).index_copy_(0, window.places(n_heads, states.device), states.reshape(-1, size))
    return rectangle[window.first_row : window.end_row, :, : window.n_columns]


def _resized(old: torch.Tensor, n_rows: int, n_columns: int) -> torch.Tensor:
    # Zeros, not uninitialised memory: a masked column still takes part in the product with the values, and 0 * NaN
    # is NaN.
    new = old.new_zeros((n_rows, old.shape[1], n_columns, old.shape[3]))
    rows, columns = min(n_rows, old.shape[0]), min(n_columns, old.shape[2])
    new[:rows, :, :columns] = old[:rows, :, :columns]
    return new


class BatchCache(Cache):
    """A transformers cache whose batch changes between steps.

    Each layer keeps every column, also under a sliding window: the mask decides what is seen.
    """

    def __init__(self, n_layers: int, device: torch.device) -> None:
        self.device = device
        self.lengths: list[int] = []
        """Tokens per row in use; also says how many rows are in use."""
        self._n_rows = 0
        self._n_columns = 0
        self.window = Window(0, 0, 0, torch.zeros((0, 0), dtype=torch.long), 0)
        self._layers = [BatchLayer(self) for _ in range(n_layers)]
        super().__init__(layers=list(self._layers))

    def new_rectangle(self, states: torch.Tensor) -> torch.Tensor:
        _, heads, _, size = states.shape
        return states.new_zeros((self._n_rows, heads, self._n_columns, size))

    def add_row(self) -> int:
        """Return the index of a new, empty row: always the last."""
        self.lengths.append(0)
        self._reserve(len(self.lengths), 1)
        return len(self.lengths) - 1

    @property
    def n_tokens_held(self) -> int:
        """What the rectangle occupies, used or not."""
        return self._n_rows * self._n_columns

    def drop_row(self, row: int) -> int:
        """Free a row; return the row that has moved into its place (the row itself if it was the last)."""
        last = len(self.lengths) - 1
        length = self.lengths.pop()
        if row != last:
            self.lengths[row] = length
            for layer in self._layers:
                if layer.is_initialized:
                    layer.keys[row, :, :length] = layer.keys[last, :, :length]
                    layer.values[row, :, :length] = layer.values[last, :, :length]
        self._trim()
        return last

    def _trim(self) -> None:
        """Give back what the rows that are left do not need, so that the memory is never more than `footprint` says."""
        n_rows, n_columns = _rectangle(self.lengths)
        if n_rows < self._n_rows or n_columns < self._n_columns:
            self._resize(min(n_rows, self._n_rows), min(n_columns, self._n_columns))

    def wipe_row(self, row: int) -> None:
        """Zero a row that holds NaN or infinity, before a later request reads behind its own length there."""
        for layer in self._layers:
            if layer.is_initialized:
                layer.keys[row] = 0
                layer.values[row] = 0

    def export(self, row: int, start: int, n_tokens: int) -> list[torch.Tensor]:
        """A copy of some columns of a row: keys and values of each layer, `[heads, tokens, head size]`."""
        end = start + n_tokens
        pairs = [(layer.keys[row, :, start:end], layer.values[row, :, start:end]) for layer in self._layers]
        return [states.clone() for pair in pairs for states in pair]

    def restore(self, row: int, start: int, block: list[torch.Tensor]) -> None:
        """Write what `export` gave; it becomes part of the row's length."""
        end = start + block[0].shape[1]
        self._reserve(len(self.lengths), end)
        for layer, keys, values in zip(self._layers, block[::2], block[1::2], strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(keys[None], values[None])
            layer.keys[row, :, start:end] = keys
            layer.values[row, :, start:end] = values
        self.lengths[row] = end

    def open_window(self, first_row: int, starts: list[int], n_tokens: int) -> Window:
        """Prepare to append `n_tokens` to consecutive rows, from each row's own start."""
        end_row = first_row + len(starts)
        n_columns = max(starts) + n_tokens
        self._reserve(len(self.lengths), n_columns)
        columns = torch.tensor(starts, device=self.device)[:, None]
        if n_tokens > 1:
            columns = columns + torch.arange(n_tokens, device=self.device)
        self.window = Window(first_row, end_row, n_columns, columns, self._n_columns)
        return self.window

    def _reserve(self, n_rows: int, n_columns: int) -> None:
        """Grow when needed, to what is needed now: a rectangle once long and narrow may become short and wide."""
        if n_rows <= self._n_rows and n_columns <= self._n_columns:
            return
        self._resize(_rows_for(n_rows), rounded_up(max(n_columns, *self.lengths, 1), BLOCK_COLUMNS))

    def _resize(self, n_rows: int, n_columns: int) -> None:
        self._n_rows, self._n_columns = n_rows, n_columns
        for layer in self._layers:
            layer.resize(n_rows, n_columns)


def footprint(lengths: Sequence[int]) -> int:
    """Tokens that rows of these lengths occupy together: the rectangle that holds them all."""
    n_rows, n_columns = _rectangle(lengths)
    return n_rows * n_columns


def _rectangle(lengths: Sequence[int]) -> tuple[int, int]:
    if not lengths:
        return 0, 0
    return _rows_for(len(lengths)), rounded_up(max(*lengths, 1), BLOCK_COLUMNS)


def _rows_for(n_rows: int) -> int:
    """A few rows double, so that one long row alone does not cost eight; many grow by blocks."""
    return rounded_up(n_rows, BLOCK_ROWS) if n_rows > BLOCK_ROWS else 1 << max(n_rows - 1, 0).bit_length()


def rounded_up(n: int, block: int) -> int:
    return -(-n // block) * block
