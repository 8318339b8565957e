"""Attention of one step over the rows of its requests, on a CPU: where keys and values go, and who reads what.

Rows that decode and lie side by side are read in one call, with a mask where their lengths differ; a chunk of a prompt
reads its own row. Query heads that share a key head are taken for tokens of that head, so keys and values are never
repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from gpu_worker.engine.rows import Row, Slab
from gpu_worker.engine.scheduler import Chunk


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens of a step that are read in one call, and where their keys and values are, by layer."""

    n_rows: int
    n_tokens: int
    """Of each row."""
    held: list[torch.Tensor]
    """`[2 * rows * heads * capacity, head size]` each: the whole slab, to be written,"""
    places: torch.Tensor
    """`[rows * tokens * 2 * heads]`: at these entries of it."""
    keys: list[torch.Tensor]
    """`[rows, heads, tokens seen, head size]` each."""
    values: list[torch.Tensor]
    mask: torch.Tensor | None
    """Added to the scores, `[rows or 1, 1, 1 or group * tokens, tokens seen]`; None where all see all."""


def segments_of(placed: Sequence[tuple[Chunk, Row]], group: int) -> list[Segment]:
    """Segments of a step's chunks, in their order. `group`: query heads to a key head."""
    runs: list[list[tuple[Chunk, Row]]] = []
    for chunk, row in placed:
        if runs and _goes_on(runs[-1][-1], (chunk, row)):
            runs[-1].append((chunk, row))
        else:
            runs.append([(chunk, row)])
    return [_segment(run, group) for run in runs]


def step_order(placed: tuple[Chunk, Row]) -> tuple[bool, int, int, int]:
    """Sorts chunks so that those that can be read together follow one another: decoding ones first."""
    chunk, row = placed
    return chunk.n_tokens > 1, row.capacity, id(row.slab), row.index


def _goes_on(last: tuple[Chunk, Row], this: tuple[Chunk, Row]) -> bool:
    (chunk, row), (next_chunk, next_row) = last, this
    is_beside = row.slab is next_row.slab and row.index + 1 == next_row.index
    return is_beside and chunk.n_tokens == next_chunk.n_tokens == 1


def _segment(run: Sequence[tuple[Chunk, Row]], group: int) -> Segment:
    chunk, row = run[0]
    states = row.slab.states
    n_layers, size = states.shape[0], states.shape[5]
    ends = [chunk.start + chunk.n_tokens for chunk, _ in run]
    seen = states[:, :, row.index : row.index + len(run), :, : max(ends)]
    return Segment(
        n_rows=len(run),
        n_tokens=chunk.n_tokens,
        held=list(states.view(n_layers, -1, size).unbind(0)),
        places=_places(row.slab, row.index, [chunk.start for chunk, _ in run], chunk.n_tokens),
        keys=list(seen[:, 0].unbind(0)),
        values=list(seen[:, 1].unbind(0)),
        mask=_mask(ends, states.dtype) if chunk.n_tokens == 1 else causal_mask(chunk.start, chunk.n_tokens, group),
    )


def _places(slab: Slab, first: int, starts: Sequence[int], n_tokens: int) -> torch.Tensor:
    """Where `[rows, tokens, 2, heads]` new entries go among the entries of a layer of the slab."""
    _, _, n_rows, n_heads, capacity, _ = slab.states.shape
    lines = torch.arange(2 * n_rows * n_heads).view(2, n_rows, n_heads)[:, first : first + len(starts)]
    columns = torch.tensor(starts)[:, None] + torch.arange(n_tokens)
    return (lines.transpose(0, 1)[:, None] * capacity + columns[:, :, None, None]).flatten()


def _mask(ends: Sequence[int], dtype: torch.dtype) -> torch.Tensor | None:
    """Hides what lies behind the end of each row, `[rows, 1, 1, longest]`."""
    if min(ends) == max(ends):
        return None
    is_behind = torch.arange(max(ends)) >= torch.tensor(ends)[:, None]
    return torch.zeros(is_behind.shape, dtype=dtype).masked_fill_(is_behind, -torch.inf)[:, None, None]


def causal_mask(start: int, n_tokens: int, group: int) -> torch.Tensor:
    """`[1, 1, group * n_tokens, start + n_tokens]`: true where a token may look."""
    columns = torch.arange(start + n_tokens)
    own = columns <= torch.arange(start, start + n_tokens)[:, None]
    return own.repeat(group, 1)[None, None]


def write(segments: Sequence[Segment], layer: int, new: torch.Tensor) -> None:
    """Put the step's keys and values, `[tokens, 2, kv heads, size]`, where they belong."""
    start = 0
    for segment in segments:
        end = start + segment.n_rows * segment.n_tokens
        entries = new[start:end].reshape(-1, new.shape[-1])
        segment.held[layer].index_copy_(0, segment.places, entries)
        start = end


def read(segments: Sequence[Segment], layer: int, queries: torch.Tensor) -> torch.Tensor:
    """`[tokens, kv heads, group, size]` queries to what they attend to, the same shape."""
    outputs, start = [], 0
    for segment in segments:
        end = start + segment.n_rows * segment.n_tokens
        read_one = _read_decoding if segment.n_tokens == 1 else _read_chunk
        outputs.append(read_one(segment, layer, queries[start:end]))
        start = end
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _read_decoding(segment: Segment, layer: int, queries: torch.Tensor) -> torch.Tensor:
    return functional.scaled_dot_product_attention(
        queries, segment.keys[layer], segment.values[layer], attn_mask=segment.mask
    )


def _read_chunk(segment: Segment, layer: int, queries: torch.Tensor) -> torch.Tensor:
    n_tokens, n_heads, group, size = queries.shape
    folded = queries.permute(1, 2, 0, 3).reshape(1, n_heads, group * n_tokens, size)
    output = functional.scaled_dot_product_attention(
        folded, segment.keys[layer], segment.values[layer], attn_mask=segment.mask
    )
    return output.view(n_heads, group, n_tokens, size).permute(2, 0, 1, 3)
