"""A configuration that trains in about a second, for tests of everything around the training itself."""

from pathlib import Path
from typing import Any

from gpu_worker.training.config import TrainingConfig, parse_config


def tiny_config(folder: Path, **schedule: int) -> dict[str, Any]:
    """As a person would write it in YAML; everything it writes lies in `folder`."""
    return {
        "name": "tiny",
        "method": "full",
        "model": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "layers": 1,
            "heads": 2,
            "kv_heads": 1,
            "context_length": 512,
        },
        "tokenizer": {"vocab_size": 400},
        "data": {"conversations": 60, "tokens_per_step": 512},
        "schedule": {"steps": 40, "warmup_steps": 2, **schedule},
        "compute": {"device": "cpu", "dtype": "float32"},
        "output": {
            "directory": str(folder / "model"),
            "checkpoint_directory": str(folder / "checkpoints"),
            "checkpoint_every_steps": 4,
            "evaluation_questions": 2,
        },
    }


def parsed(folder: Path, **schedule: int) -> TrainingConfig:
    return parse_config(tiny_config(folder, **schedule))
