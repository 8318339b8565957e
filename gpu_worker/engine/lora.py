"""LoRA adapters inside a batch: which rows compute with which adapter, and the sum that does it.

The base's weights are read once for all rows; an adapter adds its two small products to the rows that asked for it.
It reads no files (`modeling.adapters` does) and knows no requests, only keys.

Source: Hu et al. (2021), LoRA, arXiv:2106.09685, equation 3: h = W x + (alpha / r) B A x.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class LoraPair:
    """One module's two matrices."""

    down: torch.Tensor
    """A, `[rank, in]`."""
    up: torch.Tensor
    """B times the scaling, `[out, rank]`."""

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        """`[..., in]` to `[..., out]`."""
        return torch.nn.functional.linear(torch.nn.functional.linear(x, self.down), self.up)


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A loaded adapter. `key` belongs to it alone, also after it is gone: caches of computed prompts may use it."""

    name: str
    key: str
    pairs: Mapping[str, LoraPair]
    """By the module's path in the base model, such as `model.layers.0.self_attn.q_proj`."""

    @property
    def n_parameters(self) -> int:
        return sum(pair.down.numel() + pair.up.numel() for pair in self.pairs.values())

    @property
    def n_bytes(self) -> int:
        return sum(pair.down.nbytes + pair.up.nbytes for pair in self.pairs.values())


@dataclass(frozen=True, slots=True)
class Routing:
    """Which adapter computes which rows of one forward pass. Rows without an adapter are in no group."""

    n_rows: int
    groups: tuple[tuple[Adapter, torch.Tensor | None], ...]
    """Row indices of each adapter; None for all rows."""


def route(
    adapters: Sequence[Adapter | None], device: torch.device, *, n_tokens: Sequence[int] | None = None
) -> Routing | None:
    """Group the rows of a batch by adapter. None when no row has one.

    `n_tokens`: for tokens that lie one after the other without padding, how many each of `adapters` has; the routing's
    rows are then tokens.
    """
    counts = n_tokens or [1] * len(adapters)
    rows: dict[Adapter, list[int]] = {}
    start = 0
    for adapter, count in zip(adapters, counts, strict=True):
        if adapter is not None:
            rows.setdefault(adapter, []).extend(range(start, start + count))
        start += count
    if not rows:
        return None
    groups = tuple(
        (adapter, None if len(indices) == start else torch.tensor(indices, device=device))
        for adapter, indices in rows.items()
    )
    return Routing(start, groups)


def add_lora(y: torch.Tensor, x: torch.Tensor, module: str, routing: Routing) -> None:
    """Add to `y`, in place, what each row's adapter adds to `module`'s output for the input `x`.

    `y` is `[rows, ..., out]` and may be a slice of a wider tensor, as for fused projections; `x` is `[rows, ..., in]`.
    """
    for adapter, rows in routing.groups:
        pair = adapter.pairs.get(module)
        if pair is None:
            continue
        if rows is None:
            y += pair.delta(x)
        else:
            places = rows.to(y.device)  # a model may be spread over several devices
            y.index_add_(0, places, pair.delta(x.index_select(0, places)))


class AdapterBank:
    """The adapters of one base model.

    `add` and `remove` may be called from any thread while the model computes; `applied` only from the thread that
    computes. An adapter must not be removed while a request that names its key runs.
    """

    def __init__(self, model: Any = None) -> None:
        """`model`: a transformers model whose linear modules shall add adapters by themselves, inside of `applied`."""
        self.model = model
        self._adapters: dict[str, Adapter] = {}
        self._serials = itertools.count(1)
        self._tapped: set[str] = set()
        self._tapping = threading.Lock()
        self._routing: Routing | None = None

    def add(self, name: str, pairs: Mapping[str, LoraPair]) -> Adapter:
        adapter = Adapter(name, f"{name}#{next(self._serials)}", pairs)
        if self.model is not None:
            for module in pairs:
                self._tap(module)
        self._adapters[adapter.key] = adapter
        return adapter

    def remove(self, key: str) -> None:
        del self._adapters[key]

    def routed(
        self, keys: Sequence[str | None], device: torch.device, *, n_tokens: Sequence[int] | None = None
    ) -> Routing | None:
        """`route` for the adapters of these keys. Raises: KeyError for a key that is not here."""
        if not self._adapters and not any(keys):
            return None
        return route([None if key is None else self._adapters[key] for key in keys], device, n_tokens=n_tokens)

    @contextmanager
    def applied(self, keys: Sequence[str | None], device: torch.device) -> Iterator[None]:
        """Inside, the model computes row i of its input with the adapter `keys[i]`."""
        self._routing = self.routed(keys, device)
        try:
            yield
        finally:
            self._routing = None

    def _tap(self, name: str) -> None:
        """Let a module add adapters to its output. One assignment, so that it may happen during a forward pass."""
        with self._tapping:
            if name not in self._tapped:
                module = self.model.get_submodule(name)
                module.forward = self._with_adapters(name, module.forward)
                self._tapped.add(name)

    def _with_adapters(self, name: str, forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def with_adapters(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            y = forward(x, *args, **kwargs)
            if self._routing is not None:
                add_lora(_by_row(y, self._routing), _by_row(x, self._routing), name, self._routing)
            return y

        return with_adapters


def _by_row(states: torch.Tensor, routing: Routing) -> torch.Tensor:
    """Some models join rows and tokens before a module (OPT). A view, so that adding to it adds to `states`."""
    if states.shape[0] == routing.n_rows:
        return states
    return states.view(routing.n_rows, -1, states.shape[-1])
