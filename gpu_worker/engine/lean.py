"""The Llama family on a CPU: one pass over the weights for all that a step computes, in as few calls as can be.

Tokens of all requests lie one after the other, `[tokens, hidden]`: those that decode, then the chunks of prompts. Only
`attention` knows rows. Equal to transformers' forward up to rounding, which loading proves for each model.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from gpu_worker.engine import rows
from gpu_worker.engine.attention import read, segments_of, step_order, write
from gpu_worker.engine.llama import Layer, Llama, rotate_
from gpu_worker.engine.lora import AdapterBank, Routing
from gpu_worker.engine.request import Request
from gpu_worker.engine.rows import Row, Rows, RowShape
from gpu_worker.engine.scheduler import Chunk


class LeanRunner:
    """One Llama and the rows of its running requests."""

    start_ids: tuple[int, ...] = ()

    def __init__(self, llama: Llama, adapters: AdapterBank | None = None) -> None:
        self.device = torch.device("cpu")
        self._llama = llama
        self.extra_bytes = llama.packed_bytes
        self.adapters = adapters or AdapterBank()
        self._group = llama.n_heads // llama.n_kv_heads
        self._shape = RowShape(len(llama.layers), llama.n_kv_heads, llama.head_size, llama.dtype)
        self._rows = Rows(self._shape)

    def footprint(self, lengths: Sequence[int]) -> int:
        return rows.footprint(lengths)

    def reset(self) -> None:
        self._rows.clear()

    def add(self, requests: Sequence[Request]) -> None:
        self._rows.add({request.id: request.n_known for request in requests})

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        self._rows.drop(request.id, wipe=wipe)

    def export(self, request: Request, start: int, n_tokens: int) -> torch.Tensor:
        return self._rows[request.id].states[:, :, :, start : start + n_tokens].clone()

    def restore(self, request: Request, start: int, block: torch.Tensor) -> None:
        self._rows[request.id].states[:, :, :, start : start + block.shape[3]] = block

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        self._rows.reserve({chunk.request.id: chunk.start + chunk.n_tokens for chunk in chunks})
        placed = sorted([(chunk, self._rows[chunk.request.id]) for chunk in chunks], key=step_order)
        chunks = [chunk for chunk, _ in placed]
        hidden = self._hidden(placed, self._routing(chunks, [chunk.n_tokens for chunk in chunks]))
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

    def _hidden(self, placed: Sequence[tuple[Chunk, Row]], routing: Routing | None) -> torch.Tensor:
        """`[tokens, hidden]` before the final norm."""
        llama = self._llama
        chunks = [chunk for chunk, _ in placed]
        x = llama.embedding[torch.tensor(_tokens(chunks))]
        cos, sin = llama.rotations.at(_positions(chunks))
        segments = segments_of(placed, self._group)
        for index, layer in enumerate(llama.layers):
            qkv = layer.qkv(llama.normed(x, layer.input_norm), routing)
            queries, new = self._turned(layer, qkv, cos, sin)
            write(segments, index, new)
            x = x + layer.out(read(segments, index, queries).reshape(len(x), -1), routing)
            gate, up = layer.gate_up(llama.normed(x, layer.post_norm), routing).chunk(2, -1)
            x = x + layer.down(functional.silu(gate).mul_(up), routing)
        return x

    def _turned(
        self, layer: Layer, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate; return queries `[tokens, kv heads, group, size]`, keys and values `[tokens, 2, kv heads, size]`."""
        llama = self._llama
        n_turned = llama.n_heads + llama.n_kv_heads
        # Some products come transposed, and attention's fast kernel wants a head's numbers side by side.
        heads = qkv.contiguous().view(-1, n_turned + llama.n_kv_heads, llama.head_size)
        if layer.q_norm is not None and layer.k_norm is not None:
            heads[:, : llama.n_heads] = llama.normed(heads[:, : llama.n_heads], layer.q_norm)
            heads[:, llama.n_heads : n_turned] = llama.normed(heads[:, llama.n_heads : n_turned], layer.k_norm)
        rotate_(heads[:, :n_turned], cos, sin)
        queries = heads[:, : llama.n_heads].unflatten(1, (llama.n_kv_heads, self._group))
        return queries, heads[:, llama.n_heads :].unflatten(1, (2, llama.n_kv_heads))


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
