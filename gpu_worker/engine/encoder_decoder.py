"""Encoder-decoder models: a prompt is encoded once, and then all that decode go through the decoder together.

The decoder's layers read two things of a request: the keys and values of its encoded prompt, and those of its own
tokens, of which the start token is the first. Both are of one size, so a token costs the same memory wherever it is.
Linear layers compute the tokens of all requests in one call; attention goes request by request, without padding, so
that none depends on its neighbours.

Every token of a prompt looks at every other one: it is encoded in one piece, and no part of it can stand for the
beginning of another prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import torch
from torch.nn import functional

from gpu_worker.engine.request import Request
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.engine.t5 import T5, DecoderLayer, clamped

GROWTH_TOKENS = 64
"""Memory for a request's own tokens grows by so many at a time: what is there is copied once for each such step."""


class OwnStates:
    """Keys and values of the tokens that a request's decoder has read: `[layers, 2, 1, heads, capacity, head size]`."""

    def __init__(self, t5: T5, n_tokens: int) -> None:
        self._t5 = t5
        self._states = self._allocate(n_tokens)

    @property
    def capacity(self) -> int:
        return self._states.shape[4]

    def first(self, n_tokens: int) -> tuple[torch.Tensor, ...]:
        """Room for so many, by layer `[2, 1, heads, n_tokens, head size]`, in place. What was written stays."""
        if n_tokens > self.capacity:
            old, self._states = self._states, self._allocate(n_tokens)
            self._states[:, :, :, :, : old.shape[4]] = old
        return self._states[:, :, :, :, :n_tokens].unbind(0)

    def _allocate(self, n_tokens: int) -> torch.Tensor:
        t5 = self._t5
        capacity = -(-n_tokens // GROWTH_TOKENS) * GROWTH_TOKENS
        size = (len(t5.layers), 2, 1, t5.n_heads, capacity, t5.head_size)
        return torch.empty(size, dtype=t5.dtype, device=t5.device)


@dataclass(slots=True)
class _Running:
    """What a running request has in memory."""

    own: OwnStates
    prompt: torch.Tensor | None = None
    """Keys and values of its prompt, `[layers, 2, 1, heads, tokens, head size]`, once it is encoded."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """The tokens of one request that a step decodes, and what they look at, by layer."""

    token_ids: list[int]
    prompt: tuple[torch.Tensor, ...]
    """`[2, 1, heads, prompt tokens, head size]` each."""
    own: tuple[torch.Tensor, ...]
    """The same of its own tokens, up to and with the new ones."""

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)


class EncoderDecoderRunner:
    """One model of the T5 family and the states of its running requests."""

    adapters = None
    extra_bytes = 0

    def __init__(self, model: Any, start_id: int) -> None:
        """`start_id`: what the decoder begins with."""
        self._t5 = T5(model)
        self.device = self._t5.device
        self.start_ids = (start_id,)
        self._running: dict[str, _Running] = {}
        self._encoded: WeakValueDictionary[tuple[int, ...], torch.Tensor] = WeakValueDictionary()
        """Encoded prompts while a request holds them, by their tokens. Nobody writes into them."""

    def footprint(self, lengths: Sequence[int]) -> int:
        # The start token, and what rounding up adds at most. Requests with the same prompt hold less.
        return sum(length + GROWTH_TOKENS for length in lengths)

    @property
    def n_tokens_held(self) -> int:
        prompts = sum(states.shape[4] for states in self._encoded.values())
        return prompts + sum(one.own.capacity for one in self._running.values())

    def reset(self) -> None:
        self._running.clear()

    def add(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._running[request.id] = _Running(OwnStates(self._t5, 1 + len(request.output_ids)))

    def drop(self, request: Request, *, wipe: bool = False) -> None:
        """Nobody inherits a request's memory, so there is nothing to wipe."""
        del self._running[request.id]

    def export(self, request: Request, start: int, n_tokens: int) -> NoReturn:
        raise NotImplementedError("the states of an encoded prompt stand for all of it")

    def restore(self, request: Request, start: int, block: object) -> NoReturn:
        raise NotImplementedError("the states of an encoded prompt stand for all of it")

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        segments = [self._segment(chunk) for chunk in chunks]
        x = self._t5.embedded([token for segment in segments for token in segment.token_ids])
        for index, layer in enumerate(self._t5.layers):
            x = clamped(x + _look_back(index, layer, x, segments))
            x = clamped(x + _look_across(index, layer, x, segments))
            x = layer.feed_forward(x)
        lasts = torch.tensor([segment.n_tokens for segment in segments], device=self.device).cumsum(0) - 1
        return list(zip(chunks, self._t5.logits(x[lasts]).split(1), strict=True))

    def _segment(self, chunk: Chunk) -> _Segment:
        request = chunk.request
        one = self._running[request.id]
        if one.prompt is None:
            one.prompt = self._encode(request)
        own = one.own.first(1 + len(request.output_ids))
        new = [*self.start_ids, *request.output_ids] if chunk.start == 0 else request.output_ids[-1:]
        return _Segment(new, one.prompt.unbind(0), own)

    def _encode(self, request: Request) -> torch.Tensor:
        """Several answers to one prompt are usual: they share what it was encoded to."""
        key = tuple(request.prompt_ids)
        states = self._encoded.get(key)
        if states is None:
            encoded = self._t5.encoded(key)
            layers = [layer.across.states(encoded).permute(1, 2, 0, 3) for layer in self._t5.layers]
            states = self._encoded[key] = torch.stack(layers)[:, :, None]
        return states


def _look_back(index: int, layer: DecoderLayer, x: torch.Tensor, segments: Sequence[_Segment]) -> torch.Tensor:
    """Store keys and values of the new tokens; attention of each to those before it in its answer, and to itself."""
    normed = layer.own_norm(x)
    sizes = [segment.n_tokens for segment in segments]
    new, queries = layer.own.states(normed).split(sizes), layer.own.queries(normed).split(sizes)
    outputs = []
    for segment, states, query in zip(segments, new, queries, strict=True):
        own = segment.own[index]
        own[:, 0, :, -segment.n_tokens :] = states.permute(1, 2, 0, 3)
        # Several tokens are decoded at once only when they are all that there are.
        bias = layer.bias.of_last if segment.n_tokens == 1 else layer.bias.of_all
        outputs.append(_attended(query, own, bias(own.shape[3])[None]))
    return layer.own.out(torch.cat(outputs))


def _look_across(index: int, layer: DecoderLayer, x: torch.Tensor, segments: Sequence[_Segment]) -> torch.Tensor:
    """Attention of each token to its prompt."""
    queries = layer.across.queries(layer.across_norm(x)).split([segment.n_tokens for segment in segments])
    outputs = [_attended(query, one.prompt[index], None) for query, one in zip(queries, segments, strict=True)]
    return layer.across.out(torch.cat(outputs))


def _attended(queries: torch.Tensor, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`[tokens, heads, size]` over keys and values `[2, 1, heads, keys, size]`. This family does not scale scores."""
    keys, values = states
    query = queries.transpose(0, 1)[None]
    output = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=1.0)
    return output[0].transpose(0, 1)
