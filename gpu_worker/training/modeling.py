"""A fresh Llama of the configured size, and the precision in which this machine computes it fastest.

Loads no weights; the serving side has its own loader in `gpu_worker.modeling`.
"""

import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from gpu_worker.training.config import ComputeDtype, Device, ModelSection, TrainingConfig
from gpu_worker.training.tokenizer import BEGIN, END, PAD, token_id


class DeviceMissing(RuntimeError):
    code = "training.device_missing"


def choose_device(wanted: Device) -> torch.device:
    """Raises DeviceMissing for `cuda` on a machine without it; `auto` falls back to the processor."""
    has_cuda = torch.cuda.is_available()
    if wanted is Device.CUDA and not has_cuda:
        raise DeviceMissing("device is 'cuda', but torch sees no CUDA device here")
    return torch.device("cuda" if has_cuda and wanted is not Device.CPU else "cpu")


def build_model(config: TrainingConfig, tokenizer: Tokenizer, device: torch.device) -> LlamaForCausalLM:
    """Random weights that depend on the seed alone."""
    torch.manual_seed(config.seed)
    model: LlamaForCausalLM = LlamaForCausalLM(llama_config(config.model, tokenizer, _attention(device)))
    model.train()
    torch.nn.Module.to(model, device)
    return model


def llama_config(model: ModelSection, tokenizer: Tokenizer, attention: str) -> LlamaConfig:
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.kv_heads,
        max_position_embeddings=model.context_length,
        rope_parameters={"rope_type": "default", "rope_theta": model.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=token_id(tokenizer, BEGIN),
        eos_token_id=token_id(tokenizer, END),
        pad_token_id=token_id(tokenizer, PAD),
    )
    config._attn_implementation = attention
    return config


def _attention(device: torch.device) -> str:
    # Measured with 4.2M parameters, bfloat16, two AVX-512 cores, torch 2.13, rows of 128 to 1024 tokens: plain
    # matrix products train 12,000 tokens/s, the processor's fused kernel 9,000 (its backward pass is slow).
    return "eager" if device.type == "cpu" else "sdpa"


def choose_dtype(wanted: ComputeDtype, step: Callable[[torch.dtype], object]) -> torch.dtype:
    """The configured precision, or the faster one in a trial of real steps.

    Never guessed: with AVX512_BF16 bfloat16 was 3 times as fast as float32, without it 20 times slower.
    """
    match wanted:
        case ComputeDtype.FLOAT32:
            return torch.float32
        case ComputeDtype.BFLOAT16:
            return torch.bfloat16
        case ComputeDtype.AUTO:
            return min((torch.bfloat16, torch.float32), key=lambda dtype: _seconds(step, dtype))


def _seconds(step: Callable[[torch.dtype], object], dtype: torch.dtype) -> float:
    step(dtype)
    start = time.perf_counter()
    step(dtype)
    return time.perf_counter() - start
