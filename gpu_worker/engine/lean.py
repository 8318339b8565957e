"""The Llama family on a CPU: one pass over the weights for all that a step computes, in as few calls as can be.

Tokens of all requests lie one after the other, `[tokens, hidden]`: those that decode, then the chunks of prompts. Only
attention goes row by row. Equal to transformers' forward up to rounding, which loading proves for each model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from gpu_worker.engine import rows
from gpu_worker.engine.llama import Layer, Llama, rotate_
from gpu_worker.engine.lora import AdapterBank, Routing
from gpu_worker.engine.request import Request
from gpu_worker.engine.rows import Row, RowShape
from gpu_worker.engine.scheduler import Chunk


@dataclass(frozen=True, slots=True)
class _Segment:
    """Consecutive tokens of one row in a step, and where their keys and values are and go, by layer."""

    n_tokens: int
    new: list[torch.Tensor]
    """`[2, 1, heads, n_tokens, head size]` each, to be written."""
    seen: list[torch.Tensor]
    """The row up to and with the new tokens, to be read."""
    mask: torch.Tensor | None
    """`[1, 1, group * n_tokens, tokens seen]` where some tokens must not see others; None where all see all."""


class LeanRunner:
    """One Llama and the rows of its running requests."""

    def __init__(self, llama: Llama, adapters: AdapterBank | None = None) -> None:
        self.device = torch.device("cpu")
        self._llama = llama
        self.extra_bytes = llama.packed_bytes
        self.adapters = adapters or AdapterBank()
        self._group = llama.n_heads // llama.n_kv_heads
        self._shape = RowShape(len(llama.layers), llama.n_kv_heads, llama.head_size, llama.dtype)
        self._rows: dict[str, Row] = {}

    def footprint(self, lengths: Sequence[int]) -> int:
        return rows.footprint(lengths)

    def reset(self) -> None:
        self._rows.clear()

    def add(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._rows[request.id] = Row(self._shape, request.n_known)

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        """Nobody inherits the memory of a row, so there is nothing to wipe."""
        del self._rows[request.id]

    def export(self, request: Request, start: int, n_tokens: int) -> torch.Tensor:
        return self._rows[request.id].states[:, :, :, :, start : start + n_tokens].clone()

    def restore(self, request: Request, start: int, block: torch.Tensor) -> None:
        self._rows[request.id].states[:, :, :, :, start : start + block.shape[4]] = block

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        chunks = sorted(chunks, key=lambda chunk: chunk.n_tokens > 1)
        hidden = self._hidden(chunks, self._routing(chunks, [chunk.n_tokens for chunk in chunks]))
        wanted: list[int] = []
        sizes: list[int] = []
        end = 0
        for chunk in chunks:
            end += chunk.n_tokens
            if chunk.is_scored or chunk.is_last:
                sizes.append(chunk.n_tokens if chunk.is_scored else 1)
                wanted += range(end - sizes[-1], end)
        if not wanted:
            return []
        if len(wanted) != end:
            hidden = hidden[torch.tensor(wanted)]
        done = [chunk for chunk in chunks if chunk.is_scored or chunk.is_last]
        logits = self._llama.head(self._llama.normed(hidden, self._llama.norm), self._routing(done, sizes))
        return list(zip(done, logits.split(sizes), strict=True))

    def _routing(self, chunks: Sequence[Chunk], n_tokens: list[int]) -> Routing | None:
        return self.adapters.routed([chunk.request.adapter for chunk in chunks], self.device, n_tokens=n_tokens)

    def _hidden(self, chunks: Sequence[Chunk], routing: Routing | None) -> torch.Tensor:
        """`[tokens, hidden]` before the final norm."""
        llama = self._llama
        x = llama.embedding[torch.tensor(_tokens(chunks))]
        cos, sin = llama.rotations.at(_positions(chunks))
        segments = [self._segment(chunk) for chunk in chunks]
        for index, layer in enumerate(llama.layers):
            qkv = layer.qkv(llama.normed(x, layer.input_norm), routing)
            queries, new = self._turned(layer, qkv, cos, sin)
            _write(index, segments, new)
            x = x + layer.out(self._read(index, segments, queries), routing)
            gate, up = layer.gate_up(llama.normed(x, layer.post_norm), routing).chunk(2, -1)
            x = x + layer.down(functional.silu(gate).mul_(up), routing)
        return x

    def _turned(
        self, layer: Layer, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate; return queries `[tokens, heads, size]`, and keys and values `[tokens, 2, kv heads, size]`."""
        llama = self._llama
        n_turned = llama.n_heads + llama.n_kv_heads
        heads = qkv.view(-1, n_turned + llama.n_kv_heads, llama.head_size)
        if layer.q_norm is not None and layer.k_norm is not None:
            heads[:, : llama.n_heads] = llama.normed(heads[:, : llama.n_heads], layer.q_norm)
            heads[:, llama.n_heads : n_turned] = llama.normed(heads[:, llama.n_heads : n_turned], layer.k_norm)
        rotate_(heads[:, :n_turned], cos, sin)
        return heads[:, : llama.n_heads], heads[:, llama.n_heads :].unflatten(1, (2, llama.n_kv_heads))

    def _read(self, index: int, segments: Sequence[_Segment], queries: torch.Tensor) -> torch.Tensor:
        """Attention of every segment over its own row: `[tokens, heads * head size]`.

        Query heads that share a key head are taken for tokens of that head, so keys and values are never repeated.
        """
        llama = self._llama
        # [tokens, 1, kv heads, group, size]
        grouped = queries.reshape(-1, 1, llama.n_kv_heads, self._group, llama.head_size)
        if grouped.stride(-1) != 1:
            grouped = grouped.contiguous()
        n_single = sum(segment.n_tokens == 1 for segment in segments)
        outputs = [
            functional.scaled_dot_product_attention(query, *segment.seen[index])
            for query, segment in zip(grouped[:n_single].unbind(0), segments[:n_single], strict=True)
        ]
        start = n_single
        for segment in segments[n_single:]:
            end = start + segment.n_tokens
            outputs.append(self._read_many(segment, index, grouped[start:end, 0]))
            start = end
        return torch.cat(outputs).view(-1, llama.n_heads * llama.head_size)

    def _read_many(self, segment: _Segment, index: int, queries: torch.Tensor) -> torch.Tensor:
        """`[tokens, kv heads, group, size]` of one row, to the same."""
        n_tokens, n_heads, group, size = queries.shape
        folded = queries.permute(1, 2, 0, 3).reshape(1, n_heads, group * n_tokens, size)
        keys, values = segment.seen[index]
        output = functional.scaled_dot_product_attention(folded, keys, values, attn_mask=segment.mask)
        return output.view(n_heads, group, n_tokens, size).permute(2, 0, 1, 3)

    def _segment(self, chunk: Chunk) -> _Segment:
        row = self._rows[chunk.request.id]
        end = chunk.start + chunk.n_tokens
        row.reserve(end)
        mask = None if chunk.n_tokens == 1 else causal_mask(chunk.start, chunk.n_tokens, self._group)
        return _Segment(chunk.n_tokens, row.views(chunk.start, end), row.views(0, end), mask)


def _write(index: int, segments: Sequence[_Segment], new: torch.Tensor) -> None:
    """Put the step's keys and values, `[tokens, 2, kv heads, size]`, where they belong."""
    sources = new.split([segment.n_tokens for segment in segments])
    torch._foreach_copy_(
        [segment.new[index][:, 0] for segment in segments], [source.permute(1, 2, 0, 3) for source in sources]
    )


def causal_mask(start: int, n_tokens: int, group: int) -> torch.Tensor:
    """`[1, 1, group * n_tokens, start + n_tokens]`: true where a token may look."""
    columns = torch.arange(start + n_tokens)
    own = columns <= torch.arange(start, start + n_tokens)[:, None]
    return own.repeat(group, 1)[None, None]


def _tokens(chunks: Sequence[Chunk]) -> list[int]:
    tokens: list[int] = []
    for chunk in chunks:
        request = chunk.request
        if chunk.n_tokens == 1 and chunk.is_last and request.output_ids:
            tokens.append(request.output_ids[-1])
        else:
            tokens += request.known_ids()[chunk.start : chunk.start + chunk.n_tokens]
    return tokens


def _positions(chunks: Sequence[Chunk]) -> list[int]:
    return [position for chunk in chunks for position in range(chunk.start, chunk.start + chunk.n_tokens)]
