"""Tiny embedding models with random weights: real in every format, worthless as embeddings."""

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.gpu_worker.tiny_models import Shape, make_tiny_model

MODULES = ("Transformer", "Pooling", "Normalize")


def make_tiny_embedder(
    path: Path,
    *,
    model_type: str = "bert",
    pooling: str | None = "mean_tokens",
    modules: tuple[str, ...] = MODULES,
    settings: dict[str, object] | None = None,
    **config: object,
) -> Path:
    """Write a model folder at `path` and return it.

    `pooling`: of sentence-transformers' layout, whose `modules` follow; None for a folder without that layout.
    `settings`: for `config_sentence_transformers.json`.
    """
    path.mkdir(parents=True)
    for name, content in tokenizer_files().items():
        (path / name).write_bytes(content)
    _write_weights(path, model_type, config)
    if pooling is not None:
        _write_layout(path, pooling, modules, settings or {})
    return path


@cache
def tokenizer_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = make_tiny_model(Path(folder) / "tiny", shape=Shape(layers=1))
        return {file.name: file.read_bytes() for file in path.glob("tokenizer*")}


def _write_weights(path: Path, model_type: str, config: dict[str, object]) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    shape: dict[str, object] = {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.3,
    }
    make: Any = AutoModel.from_config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make(AutoConfig.for_model(model_type, **(shape | config))).save_pretrained(path)


def _write_layout(path: Path, pooling: str, modules: tuple[str, ...], settings: dict[str, object]) -> None:
    folders = {"Transformer": "", "Pooling": "1_Pooling"}
    entries = [
        {
            "idx": index,
            "name": str(index),
            "path": folders.get(kind, f"{index}_{kind}"),
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(modules)
    ]
    (path / "modules.json").write_text(json.dumps(entries))
    (path / "1_Pooling").mkdir()
    flags = {
        f"pooling_mode_{kind}": kind == pooling for kind in ("mean_tokens", "cls_token", "lasttoken", "max_tokens")
    }
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **flags}))
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, "do_lower_case": False}))
    (path / "config_sentence_transformers.json").write_text(json.dumps(settings))


def copied(source: Path, target: Path) -> Path:
    """A folder that a test may break."""
    return Path(shutil.copytree(source, target))
