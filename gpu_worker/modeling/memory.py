"""How many tokens of keys and values fit beside the weights.

It reads sizes; it allocates nothing.
"""

from typing import Any

import torch

from gpu_worker.modeling.device import available_memory_bytes

CPU_SHARE = 0.4
"""Of the memory that is free on the host; the rest is for activations and for everybody else on the machine."""

CUDA_SHARE = 0.8
"""Of the memory that is free on the GPU once the weights are there; the rest is for activations."""


def cache_tokens(model: Any, device: torch.device, *, n_models: int) -> int:
    """Tokens that this model's cache may hold, when `n_models` share the device."""
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        budget = CUDA_SHARE * free_bytes
    else:
        budget = CPU_SHARE * available_memory_bytes()
    return max(int(budget / n_models / bytes_per_token(model)), 1)


def bytes_per_token(model: Any) -> int:
    """Keys and values of one token in all layers."""
    config = model.config.get_text_config()
    n_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * n_heads * head_size * model.dtype.itemsize)
