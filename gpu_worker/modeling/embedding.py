"""Loads a model that turns text into vectors, with its own pooling, and proves that batches do not change them.

What a model's files ask for and is not done here is refused by name. Remote code is off and only safetensors are read.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from gpu_worker.modeling.device import DtypeChoice, choose_dtype
from gpu_worker.modeling.folder_files import (
    OnProgress,
    Progress,
    load_tokenizer,
    load_weights,
    read_config,
    stored_tensors,
)
from gpu_worker.modeling.loading import LoadOptions, admit, check_quantisation
from gpu_worker.modeling.memory import MemoryLedger
from gpu_worker.modeling.quantise import quantise_model
from gpu_worker.modeling.source import ModelFolder, ModelRefused, ModelSpec, open_source

LEAST_COSINE = 0.9999

_Kind = TypeVar("_Kind", dict[str, Any], list[Any])


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "lasttoken"


POOLING_FLAGS = {
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_lasttoken": Pooling.LAST,
}


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """What a model's own files say about its vectors."""

    pooling: Pooling
    normalises: bool
    prefix: str
    """Put before every text."""
    longest: int | None
    """Tokens that it was trained to read, where that is less than what it can."""


@dataclass(frozen=True, slots=True)
class LoadedEmbedder:
    """A model that makes vectors."""

    name: str
    model: Any
    tokenizer: Any
    settings: EmbeddingSettings
    context_length: int
    size: int
    """Numbers in a vector."""
    n_parameters: int
    dtype: DtypeChoice
    revision: str | None
    quantisation: str | None
    load_s: float

    @property
    def weight_format(self) -> str:
        return self.quantisation or self.dtype.name

    @property
    def n_vocabulary(self) -> int:
        return int(self.model.get_input_embeddings().weight.shape[0])

    def shortens_to(self, dimensions: int) -> bool:
        """Whether the first `dimensions` numbers are a vector too: the model was trained for that, and says so."""
        config = self.model.config
        listed = getattr(config, "matryoshka_dimensions", None)
        trained = dimensions in listed if listed else bool(getattr(config, "is_matryoshka", False))
        return dimensions == self.size or (trained and dimensions < self.size)

    def embed(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Vectors `[len(texts), size]` of token ids, float32, on the CPU."""
        return pooled_vectors(self.model, texts, self.settings)


def load_embedder(spec: ModelSpec, options: LoadOptions, on_progress: OnProgress) -> LoadedEmbedder:
    """Load one model; `on_progress` hears the share of its weights that is loaded. Raises: ModelRefused."""
    from transformers import AutoModel

    started_at = time.perf_counter()
    folder = open_source(spec)
    check_quantisation(spec, folder)
    settings = read_settings(folder.path, spec.name)
    tensors = stored_tensors(folder, spec.name)
    devices = options.devices[:1]
    ledger = options.ledger.on(devices) if options.ledger is not None else MemoryLedger(devices)
    n_stored = sum(tensor.n_parameters for tensor in tensors)
    dtype = choose_dtype(options.dtype, options.device, n_parameters=n_stored, free_bytes=ledger.free_bytes())
    _check_config(folder, spec.name)
    tokenizer = load_tokenizer(folder, spec.name)
    admit(ledger, spec, folder, tensors, dtype=dtype.dtype, token_bytes=0)
    with Progress(on_progress):
        # The pooler of BERT's first task is of no use here, and often missing.
        model = load_weights(AutoModel, folder, spec, dtype.dtype, devices, unused="pooler.")
    n_parameters = model.num_parameters()
    if spec.quantisation is not None:
        quantise_model(model, spec.quantisation, options.device)
    _check_batching(model, settings, spec.name)
    return LoadedEmbedder(
        name=spec.name,
        model=model,
        tokenizer=tokenizer,
        settings=settings,
        context_length=_context_length(model, tokenizer, settings, options.max_context),
        size=model.config.hidden_size,
        n_parameters=n_parameters,
        dtype=dtype,
        revision=folder.revision,
        quantisation=str(spec.quantisation) if spec.quantisation else folder.stored_quantisation,
        load_s=time.perf_counter() - started_at,
    )


def read_settings(folder: Path, name: str) -> EmbeddingSettings:
    """From sentence-transformers' files; without them, the mean of an encoder, the last token of a decoder, normalised.

    Raises: ModelRefused.
    """
    if not (folder / "modules.json").is_file():
        reads_both_ways = not _is_decoder(_json_of(folder / "config.json", dict, name))
        pooling = Pooling.MEAN if reads_both_ways else Pooling.LAST
        return EmbeddingSettings(pooling, normalises=True, prefix="", longest=None)
    modules = _modules(folder, name)
    transformer, pooling_path = modules["Transformer"], modules["Pooling"]
    if transformer not in {"", "."}:
        raise ModelRefused(f"{name}: its modules.json puts the model into a folder of its own, which is not read here")
    longest = _json_of(folder / "sentence_bert_config.json", dict, name).get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise ModelRefused(f"{name}: its sentence_bert_config.json has no sensible max_seq_length")
    return EmbeddingSettings(
        pooling=_pooling(_json_of(folder / pooling_path / "config.json", dict, name), name),
        normalises="Normalize" in modules,
        prefix=_prefix(_json_of(folder / "config_sentence_transformers.json", dict, name), name),
        longest=longest,
    )


def _modules(folder: Path, name: str) -> dict[str, str]:
    """Kinds of module and their folders, of a pipeline that is known here."""
    found: dict[str, str] = {}
    for module in _json_of(folder / "modules.json", list, name):
        kind = module.get("type") if isinstance(module, dict) else None
        path = module.get("path") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not isinstance(path, str) or Path(path).is_absolute() or ".." in path:
            raise ModelRefused(f"{name}: its modules.json is malformed")
        found[kind.rpartition(".")[2]] = path
    if list(found) not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        kinds = ", ".join(found)[:200] or "nothing"
        raise ModelRefused(f"{name}: its modules are {kinds}; only Transformer, Pooling and Normalize are done here")
    return found


def _pooling(config: dict[str, Any], name: str) -> Pooling:
    wanted = {
        POOLING_FLAGS.get(key, key)
        for key, value in config.items()
        if key.startswith("pooling_mode_") and value is True
    }
    if "pooling_mode" in config:  # as newer releases of sentence-transformers write it
        wanted.add(str(config["pooling_mode"]))
    if len(wanted) != 1 or (only := wanted.pop()) not in set(Pooling):
        raise ModelRefused(f"{name}: it asks for another pooling than one of mean, CLS and last token")
    return Pooling(only)


def _prefix(config: dict[str, Any], name: str) -> str:
    default = config.get("default_prompt_name")
    if default is None:
        return ""
    prompts = config.get("prompts")
    prefix = prompts.get(default) if isinstance(prompts, dict) and isinstance(default, str) else None
    if not isinstance(prefix, str):
        raise ModelRefused(f"{name}: its default_prompt_name names no prompt")
    return prefix


def _json_of(path: Path, kind: type[_Kind], name: str) -> _Kind:
    """The JSON of a file, which is empty where the file is missing."""
    try:
        value = json.loads(path.read_text("utf-8")) if path.is_file() else kind()
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise ModelRefused(f"{name}: its {path.name} is not valid JSON") from exc
    if not isinstance(value, kind):
        raise ModelRefused(f"{name}: its {path.name} is malformed")
    return value


def _is_decoder(config: dict[str, Any]) -> bool:
    from transformers.models.auto import modeling_auto as auto

    kind = config.get("model_type")
    return kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _check_config(folder: ModelFolder, name: str) -> None:
    if read_config(folder, name).is_encoder_decoder:
        raise ModelRefused(f"{name}: vectors of a model with encoder and decoder are not made here")


def _context_length(model: Any, tokenizer: Any, settings: EmbeddingSettings, max_context: int | None) -> int:
    config = model.config
    table = getattr(model, "embeddings", None)
    # RoBERTa counts positions from behind the padding token's id.
    offset = config.pad_token_id + 1 if getattr(table, "padding_idx", None) is not None else 0
    known = [config.max_position_embeddings - offset, tokenizer.model_max_length]
    return int(min([*known, *(bound for bound in (settings.longest, max_context) if bound)]))


def pooled_vectors(model: Any, texts: Sequence[Sequence[int]], settings: EmbeddingSettings) -> Tensor:
    """Vectors `[len(texts), size]`, float32, on the CPU. Padding is on the right, and no token sees it."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *([0] * (longest - len(text)))] for text in texts], device=model.device)
    lengths = torch.tensor([len(text) for text in texts], device=model.device)
    mask = torch.arange(longest, device=model.device) < lengths[:, None]
    with torch.inference_mode():
        states = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        match settings.pooling:
            case Pooling.CLS:
                vectors = states[:, 0]
            case Pooling.LAST:
                vectors = states[torch.arange(len(texts), device=model.device), lengths - 1]
            case Pooling.MEAN:
                vectors = states.masked_fill(~mask[..., None], 0).sum(1) / lengths[:, None]
        return (functional.normalize(vectors, dim=-1) if settings.normalises else vectors).cpu()


def _check_batching(model: Any, settings: EmbeddingSettings, name: str) -> None:
    vocabulary = model.config.vocab_size
    texts = [[(7 * i + 3) % vocabulary for i in range(n)] for n in (9, 4)]
    try:
        batched = pooled_vectors(model, texts, settings)
        alone = torch.cat([pooled_vectors(model, [text], settings) for text in texts])
    except Exception as exc:  # whatever a model's code raises here, it cannot be served
        raise ModelRefused(f"{name}: a model of its kind cannot make vectors here ({type(exc).__name__})") from exc
    if not functional.cosine_similarity(batched, alone).min().item() >= LEAST_COSINE:
        raise ModelRefused(f"{name}: a model of its kind makes other vectors in batches")
