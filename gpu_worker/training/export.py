"""Write a trained model as a directory that `from_pretrained` loads. Never leaves half a directory behind."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaForCausalLM

from gpu_worker.training.config import TrainingConfig, WeightsDtype
from gpu_worker.training.modeling import llama_config
from gpu_worker.training.tokenizer import END, PAD, token_id, wrap_tokenizer

_DTYPES = {
    WeightsDtype.FLOAT32: torch.float32,
    WeightsDtype.FLOAT16: torch.float16,
    WeightsDtype.BFLOAT16: torch.bfloat16,
}


def write_model(directory: Path, model: LlamaForCausalLM, tokenizer: Tokenizer, config: TrainingConfig) -> None:
    """config.json, generation_config.json, model.safetensors and the tokenizer's files."""
    directory.mkdir(parents=True, exist_ok=True)
    dtype = _DTYPES[config.output.weights_dtype]
    # `named_parameters` names tied weights once, which is what safetensors wants.
    tensors = {name: p.detach().to("cpu", dtype).contiguous() for name, p in model.named_parameters()}
    weights = directory / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    # safetensors makes it readable for its owner alone; a worker under another account must read it too.
    weights.chmod(0o644)
    # A fresh one: the attention kernel chosen for training is no property of the model.
    settings = llama_config(config.model, tokenizer, "sdpa")
    settings.architectures = ["LlamaForCausalLM"]
    settings.dtype = dtype
    settings.save_pretrained(directory)
    _generation_config(tokenizer).save_pretrained(directory)
    wrap_tokenizer(tokenizer, context_length=config.model.context_length).save_pretrained(directory)


def _generation_config(tokenizer: Tokenizer) -> GenerationConfig:
    # Low, because a sum has one answer; not zero, so that two stories differ.
    return GenerationConfig(
        do_sample=True,
        temperature=0.3,
        top_p=0.95,
        max_new_tokens=512,
        eos_token_id=token_id(tokenizer, END),
        pad_token_id=token_id(tokenizer, PAD),
    )


def write_record(path: Path, content: dict[str, Any]) -> None:
    """JSON with one line per top-level key: a loss curve is one line, not thousands."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def partial_directory(target: Path) -> Path:
    """An empty neighbour of `target` to write into; `publish` renames it."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def publish(partial: Path, target: Path) -> None:
    """Put the finished directory in place of whatever was there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
