"""The T5 family (t5, mt5, umt5): its encoder, and its decoder in parts that compute tokens of many requests at once.

Weights, norms and feed-forward layers are the model's own modules, so that quantised ones stay so. Attention and the
rows of the cache are the runner's (`encoder_decoder`); here is only how far apart tokens are, which is all that this
family knows of positions.

Source: Raffel et al. (2020), "Exploring the Limits of Transfer Learning", section 2.1; transformers `modeling_t5`.
"""

from collections.abc import Sequence
from typing import Any

import torch

LARGEST_HALF = 64504.0
"""In float16 a layer's output may overflow. Source: transformers `T5Block`, which clamps to 1000 below the largest."""

RAMP_TOKENS = 512
"""A ramp grows by so many tokens at a time."""


class Attention:
    """The projections of one attention module."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._shape = (module.n_heads, module.key_value_proj_dim)

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """`[tokens, d_model]` to `[tokens, heads, head size]`."""
        queries: torch.Tensor = self._module.q(x)
        return queries.view(-1, *self._shape)

    def states(self, x: torch.Tensor) -> torch.Tensor:
        """Keys and values `[tokens, 2, heads, head size]`."""
        return torch.stack([self._module.k(x), self._module.v(x)], 1).view(-1, 2, *self._shape)

    def out(self, x: torch.Tensor) -> torch.Tensor:
        """`[tokens, heads, head size]` to `[tokens, d_model]`."""
        out: torch.Tensor = self._module.o(x.flatten(1))
        return out


class DistanceBias:
    """What a decoder layer adds to its scores `[heads, queries, keys]`: it depends on the distance alone."""

    def __init__(self, module: Any) -> None:
        # From this distance on all are alike.
        self._farthest: int = module.relative_attention_max_distance
        bias: torch.Tensor = module.compute_bias(1, self._farthest + 1, past_seen_tokens=self._farthest)
        self._by_distance = bias[0, :, 0].flip(-1).contiguous()
        """`[heads, distances]`"""
        self._ramp = self._by_distance[:, :0]

    def of_last(self, n_keys: int) -> torch.Tensor:
        """`[heads, 1, n_keys]` for a query at the last key. A view."""
        if n_keys > self._ramp.shape[1]:
            self._ramp = self._far_to_near(-(-n_keys // RAMP_TOKENS) * RAMP_TOKENS)
        return self._ramp[:, None, self._ramp.shape[1] - n_keys :]

    def of_all(self, n_keys: int) -> torch.Tensor:
        """`[heads, n_keys, n_keys]` for a query at every key, which sees none that comes after it."""
        places = torch.arange(n_keys, device=self._by_distance.device)
        distances = places[:, None] - places
        bias = self._by_distance[:, distances.clamp(0, self._farthest)]
        return bias.masked_fill_(distances < 0, -torch.inf)

    def _far_to_near(self, n_keys: int) -> torch.Tensor:
        distances = torch.arange(n_keys - 1, -1, -1, device=self._by_distance.device)
        return self._by_distance[:, distances.clamp(max=self._farthest)]


class DecoderLayer:
    """One layer of the decoder. `bias` is its own, or the first layer's."""

    def __init__(self, block: Any, bias: DistanceBias) -> None:
        own, across, self._feed_forward = block.layer
        self.own_norm, self.own = own.layer_norm, Attention(own.SelfAttention)
        self.across_norm, self.across = across.layer_norm, Attention(across.EncDecAttention)
        self.bias = bias

    def feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        return clamped(self._feed_forward(x))


class T5:
    """A model of transformers, taken apart."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self._model = model
        self._scale: float = config.d_model**-0.5 if _scales_outputs(config) else 1.0
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.n_heads: int = config.num_heads
        self.head_size: int = config.d_kv
        self.layers = _layers(model.decoder.block)

    def encoded(self, prompt_ids: Sequence[int]) -> torch.Tensor:
        """`[tokens, d_model]`: what the decoder looks at."""
        ids = torch.tensor([prompt_ids], device=self.device)
        states: torch.Tensor = self._model.encoder(input_ids=ids).last_hidden_state
        return states[0]

    def embedded(self, token_ids: Sequence[int]) -> torch.Tensor:
        """`[tokens, d_model]`: where the decoder begins."""
        x: torch.Tensor = self._model.decoder.embed_tokens(torch.tensor(token_ids, device=self.device))
        return x

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """`[tokens, d_model]` from the last layer to `[tokens, V]`."""
        logits: torch.Tensor = self._model.lm_head(self._model.decoder.final_layer_norm(x) * self._scale)
        return logits


def _layers(blocks: Sequence[Any]) -> list[DecoderLayer]:
    layers: list[DecoderLayer] = []
    for block in blocks:
        attention = block.layer[0].SelfAttention
        bias = DistanceBias(attention) if attention.has_relative_attention_bias else layers[0].bias
        layers.append(DecoderLayer(block, bias))
    return layers


def _scales_outputs(config: Any) -> bool:
    """Source: transformers 5.23, `forward` of the three classes."""
    if config.model_type == "t5":
        return bool(config.scale_decoder_outputs)
    return config.model_type == "umt5" and bool(config.tie_word_embeddings)


def clamped(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-LARGEST_HALF, LARGEST_HALF) if x.dtype == torch.float16 else x
