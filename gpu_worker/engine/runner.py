"""Computes: prompt chunks and decode steps of many requests over one transformers model.

It decides nothing (`scheduler` does) and chooses no token (`sampling` does): token ids in, logits out. `Runner` is what
the engine knows; `GenericRunner` serves every causal model, `vision` those that see images, `lean` the Llama family on
a CPU, `encoder_decoder` the T5 family.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from gpu_worker.engine.cache import BLOCK_COLUMNS, BatchCache, Window, footprint, rounded_up
from gpu_worker.engine.lora import AdapterBank
from gpu_worker.engine.request import Request
from gpu_worker.engine.scheduler import Chunk

MAX_PADDING = 1.5
"""Prompts are computed together while padding them to the longest costs at most this factor."""


class Runner(Protocol):
    """What the engine asks of a model. Used by one thread, under `torch.inference_mode`."""

    device: torch.device
    extra_bytes: int
    """Of weights that it holds beside the model's own."""

    @property
    def adapters(self) -> AdapterBank | None:
        """None for a model that takes no adapters."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """What an answer begins with that does not continue its prompt; empty where it does.

        With them the prompt is read by an encoder, all of it in one step: no part of it is computed, scored or reused.
        """

    def footprint(self, lengths: Sequence[int]) -> int:
        """Tokens of cache that rows of these lengths occupy together."""
        ...

    def add(self, requests: Sequence[Request]) -> None:
        """Give each request a row of the cache."""
        ...

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        """Free a request's row. `wipe`: its numbers are not finite and must not stay."""
        ...

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        """Compute chunks; return logits `[n, V]` for each that is scored or the last of what its request knows.

        `n` is every token of a scored chunk, and only the last token of any other.
        """
        ...

    def export(self, request: Request, start: int, n_tokens: int) -> Any:
        """A copy of computed keys and values, for `restore` on another row of this runner."""
        ...

    def restore(self, request: Request, start: int, block: Any) -> None:
        """Put exported keys and values into a request's row."""
        ...

    def reset(self) -> None:
        """Forget all rows and give their memory back."""
        ...


class GenericRunner:
    """Any causal model of transformers, and the cache of its running requests."""

    extra_bytes = 0
    start_ids: tuple[int, ...] = ()

    def __init__(self, model: Any, adapters: AdapterBank | None = None) -> None:
        self.model = model
        self._bank = adapters or AdapterBank()
        self.device: torch.device = model.device
        config = model.config.get_text_config()
        self._n_layers: int = config.num_hidden_layers
        self._masks = MaskBuilder(model)
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.reset()

    @property
    def adapters(self) -> AdapterBank | None:
        return self._bank

    def reset(self) -> None:
        self.cache = BatchCache(self._n_layers, self.device)
        self._rows: list[Request] = []

    def footprint(self, lengths: Sequence[int]) -> int:
        return footprint(lengths)

    def add(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.cache.add_row()
            self._rows.append(request)

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        row = self._rows.index(request)
        if wipe:
            self.cache.wipe_row(row)
        moved = self.cache.drop_row(row)
        last = self._rows.pop()
        if moved != row:
            self._rows[row] = last

    def export(self, request: Request, start: int, n_tokens: int) -> list[torch.Tensor]:
        return self.cache.export(self._rows.index(request), start, n_tokens)

    def restore(self, request: Request, start: int, block: list[torch.Tensor]) -> None:
        self.cache.restore(self._rows.index(request), start, block)

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        """One pass for all that decode, and one for each group of prompts of similar length."""
        rows = {id(request): row for row, request in enumerate(self._rows)}
        for chunk in chunks:  # a pass that failed half-way may have left longer ones
            self.cache.lengths[rows[id(chunk.request)]] = chunk.start
        decode = [chunk for chunk in chunks if chunk.n_tokens == 1 and chunk.is_last]
        done = self._decode(decode, rows) if decode else []
        prompts = [chunk for chunk in chunks if chunk.n_tokens > 1 or not chunk.is_last]
        for group in grouped(prompts, [rows[id(chunk.request)] for chunk in prompts]):
            done += self._prefill(group)
        return done

    def _decode(self, chunks: Sequence[Chunk], rows: dict[int, int]) -> list[tuple[Chunk, torch.Tensor]]:
        places = [rows[id(chunk.request)] for chunk in chunks]
        n_rows = max(places) + 1
        # A row that does not decode may lie between: it computes along, and its next chunk overwrites what it wrote.
        tokens = [[(request.output_ids or request.prompt_ids)[-1]] for request in self._rows[:n_rows]]
        logits = self._forward(0, self.cache.lengths[:n_rows], tokens, [0])[:, 0]
        for row in places:
            self.cache.lengths[row] += 1
        return [(chunk, logits[row : row + 1]) for chunk, row in zip(chunks, places, strict=True)]

    def _prefill(self, group: list[tuple[int, Chunk]]) -> list[tuple[Chunk, torch.Tensor]]:
        n_tokens = max(chunk.n_tokens for _, chunk in group)
        tokens = [_padded(chunk, n_tokens) for _, chunk in group]
        is_scored = group[0][1].is_scored
        ends = list(range(n_tokens)) if is_scored else sorted({chunk.n_tokens - 1 for _, chunk in group})
        logits = self._forward(group[0][0], [chunk.start for _, chunk in group], tokens, ends)
        done = []
        for index, (row, chunk) in enumerate(group):
            self.cache.lengths[row] = chunk.start + chunk.n_tokens
            if chunk.is_scored or chunk.is_last:
                end = ends.index(chunk.n_tokens - 1)
                done.append((chunk, logits[index, 0 if is_scored else end : end + 1]))
        return done

    def _forward(self, first_row: int, starts: list[int], tokens: list[list[int]], keep: list[int]) -> torch.Tensor:
        """Logits `[rows, len(keep), V]` at the token indices `keep`."""
        window = self.cache.open_window(first_row, starts, len(tokens[0]))
        options: dict[str, Any] = {}
        if self._keeps_logits:
            options["logits_to_keep"] = 1 if keep == [len(tokens[0]) - 1] else torch.tensor(keep, device=self.device)
        requests = self._rows[first_row : first_row + len(starts)]
        with self._bank.applied([request.adapter for request in requests], self.device):
            output = self.model(
                **self._inputs(requests, starts, torch.tensor(tokens, device=self.device)),
                attention_mask=self._masks.build(window),
                position_ids=self._positions(requests, window.positions),
                past_key_values=self.cache,
                use_cache=True,
                **options,
            )
        logits: torch.Tensor = output.logits
        return logits if self._keeps_logits else logits[:, keep]

    def _inputs(self, requests: Sequence[Request], starts: Sequence[int], tokens: torch.Tensor) -> dict[str, Any]:
        """What the model reads of `[rows, tokens]`; row by row they are these requests' tokens from these places on."""
        return {"input_ids": tokens}

    def _positions(self, requests: Sequence[Request], columns: torch.Tensor) -> torch.Tensor:
        """Positions of the tokens in these `[rows, tokens]` columns of the cache."""
        return columns


class MaskBuilder:
    """Attention masks in the form that the model's layers want, once per step."""

    def __init__(self, model: Any) -> None:
        config = model.config.get_text_config()
        self._is_boolean = config._attn_implementation == "sdpa"
        self._dtype: torch.dtype = model.dtype
        kinds = set(getattr(config, "layer_types", None) or [])
        self._window: int | None = getattr(config, "sliding_window", None)
        if kinds == {"full_attention"}:
            self._window = None
        self._per_kind = "sliding_attention" in kinds

    def build(self, window: Window) -> torch.Tensor | dict[str, torch.Tensor]:
        """`[rows, 1, tokens, columns]`: a token sees its own row up to its own position."""
        columns = torch.arange(window.n_columns, device=window.positions.device)
        ends = window.positions[:, None, :, None]
        full = columns <= ends
        if self._window is None:
            return self._cast(full)
        sliding = self._cast(full & (columns > ends - self._window))
        return {"full_attention": self._cast(full), "sliding_attention": sliding} if self._per_kind else sliding

    def _cast(self, mask: torch.Tensor) -> torch.Tensor:
        if self._is_boolean:
            return mask
        zero = torch.zeros((), dtype=self._dtype, device=mask.device)
        return torch.where(mask, zero, torch.finfo(self._dtype).min)


def grouped(chunks: Sequence[Chunk], rows: Sequence[int]) -> list[list[tuple[int, Chunk]]]:
    """Chunks that compute together: neighbours in the cache, of similar length. Each comes with its row."""
    groups: list[list[tuple[int, Chunk]]] = []
    for row, chunk in sorted(zip(rows, chunks, strict=True), key=lambda pair: pair[0]):
        if groups and _belong_together([*groups[-1], (row, chunk)]):
            groups[-1].append((row, chunk))
        else:
            groups.append([(row, chunk)])
    return groups


def _belong_together(group: list[tuple[int, Chunk]]) -> bool:
    if any(chunk.is_scored for _, chunk in group):
        return False
    return group[-2][0] == group[-1][0] - 1 and _padding(group) <= MAX_PADDING and _fits(group)


def _fits(group: list[tuple[int, Chunk]]) -> bool:
    """Whether padding needs no columns beyond those that the rows have anyway: nobody has counted those."""
    padded_end = max(chunk.start for _, chunk in group) + max(chunk.n_tokens for _, chunk in group)
    end = max(chunk.start + chunk.n_tokens for _, chunk in group)
    return padded_end <= rounded_up(end, BLOCK_COLUMNS)


def _padding(group: list[tuple[int, Chunk]]) -> float:
    sizes = [chunk.n_tokens for _, chunk in group]
    return max(sizes) * len(sizes) / sum(sizes)


def _padded(chunk: Chunk, n_tokens: int) -> list[int]:
    ids = chunk.request.known_ids()[chunk.start : chunk.start + chunk.n_tokens]
    return ids + [0] * (n_tokens - chunk.n_tokens)
