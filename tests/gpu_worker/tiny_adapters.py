"""Random LoRA adapters for the tiny models, written by PEFT itself."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def base_model(folder: Path) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def make_adapter(folder: Path, base: Path, *, seed: int, **config: Any) -> Path:
    """A random adapter whose effect is large, written by PEFT itself."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = get_peft_model(base_model(base), LoraConfig(task_type="CAUSAL_LM", **config))
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                torch.nn.init.normal_(weight, std=0.15)
        model.save_pretrained(folder, save_embedding_layers=False)
    return folder
