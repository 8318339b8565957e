"""Tiny text-classification models with random weights: real in every format, worthless as judges."""

from pathlib import Path
from typing import Any

from tests.gpu_worker.tiny_embedders import tokenizer_files

LABELS = ("neutral", "Self Harm", "hate")


def make_tiny_classifier(
    path: Path, *, labels: tuple[str, ...] = LABELS, is_multi_label: bool = True, safe: bool = True, **config: object
) -> Path:
    """Write a model folder at `path` and return it."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    path.mkdir(parents=True)
    for name, content in tokenizer_files().items():
        (path / name).write_bytes(content)
    shape: dict[str, object] = {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": "multi_label_classification" if is_multi_label else "single_label_classification",
    }
    make: Any = AutoModelForSequenceClassification.from_config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(AutoConfig.for_model("bert", **(shape | config)))
    if safe:
        model.save_pretrained(path)
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(path)
        torch.save(model.state_dict(), path / "pytorch_model.bin")
    return path
