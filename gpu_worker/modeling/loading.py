"""Loads a language model, causal, encoder-decoder or one that sees images, and its tokenizer and image processor.

Remote code is off and only safetensors are read. It serves nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image

from gpu_worker.engine.detokenize import Decode
from gpu_worker.engine.runner import Runner
from gpu_worker.modeling.device import DtypeChoice, choose_dtype
from gpu_worker.modeling.folder_files import (
    OnProgress,
    Progress,
    load_tokenizer,
    load_weights,
    one_line,
    read_config,
    stored_tensors,
)
from gpu_worker.modeling.memory import (
    MemoryLedger,
    MemoryNeed,
    StoredTensor,
    bytes_per_token,
    encoder_working_bytes,
    estimate,
)
from gpu_worker.modeling.processor import ImageProcessor
from gpu_worker.modeling.quantise import QuantisationMissing, quantise_model, refuse_missing
from gpu_worker.modeling.runners import build_runner
from gpu_worker.modeling.sampling_defaults import sampling_defaults
from gpu_worker.modeling.source import ModelFolder, ModelRefused, ModelSpec, open_source

DEFAULT_CONTEXT = 2048
"""For a model whose configuration does not say how much it can read."""

DEFAULT_ENCODER_CONTEXT = 512
"""The same for an encoder: what the T5 family was trained with. Source: Raffel et al. (2020), section 3.1.2."""

LONGEST_CONTEXT = 2**24
"""Beyond it a tokenizer's `model_max_length` is no limit but transformers' word for not knowing."""

NEEDED_PACKAGES = {"gptq": ("optimum", "gptqmodel"), "awq": ("gptqmodel",), "bitsandbytes": ("bitsandbytes",)}
"""What transformers needs to read weights that are stored quantised. Source: its `quantizers`, 5.23."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can be served."""

    name: str
    model: Any
    runner: Runner
    """What computes it; it belongs to one engine."""
    tokenizer: Any
    context_length: int
    """Tokens of prompt and answer together; of an encoder-decoder model, as many for each."""
    n_parameters: int
    dtype: DtypeChoice
    revision: str | None
    quantisation: str | None
    """How the weights are kept when not in `dtype`: by us, or as they were stored."""
    token_bytes: int
    """Keys and values of one token."""
    devices: tuple[torch.device, ...]
    """Where it lies."""
    end_ids: frozenset[int]
    sampling_defaults: dict[str, Any]
    load_s: float
    image_processor: ImageProcessor | None = None
    """Of a model that sees images."""

    @property
    def weight_format(self) -> str:
        """For reports and cards: `float32`, `int8`, `gptq`."""
        return self.quantisation or self.dtype.name

    @property
    def n_vocabulary(self) -> int:
        """Rows of the embedding: larger than the tokenizer's vocabulary where it is padded."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def decode(self) -> Decode:
        """Turns token ids into text without special tokens."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            # Straight to the library in Rust: called for every token, and less than half the time.
            return lambda ids: str(backend.decode(ids, skip_special_tokens=True))
        return lambda ids: str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load: the same for every model of a worker."""

    devices: tuple[torch.device, ...]
    """A causal model is spread over all of them; other kinds are loaded on the first."""
    dtype: str = "auto"
    max_context: int | None = None
    ledger: MemoryLedger | None = None
    """Who else is on the devices, and the limit; without one, only what is free counts."""

    @property
    def device(self) -> torch.device:
        """Where prompts come in."""
        return self.devices[0]


def load_model(spec: ModelSpec, options: LoadOptions, on_progress: OnProgress) -> LoadedModel:
    """Load one model; `on_progress` hears the share of its weights that is loaded. Raises: ModelRefused."""
    started_at = time.perf_counter()
    folder = open_source(spec)
    check_quantisation(spec, folder)
    devices = options.devices[:1] if folder.has_encoder or folder.sees_images else options.devices
    _refuse_spread(spec, devices)
    tensors = stored_tensors(folder, spec.name)
    ledger = options.ledger.on(devices) if options.ledger is not None else MemoryLedger(devices)
    dtype = choose_dtype(
        options.dtype,
        options.device,
        n_parameters=sum(tensor.n_parameters for tensor in tensors),
        free_bytes=ledger.free_bytes(),
    )
    config = read_config(folder, spec.name)
    token_bytes = token_bytes_of(config, folder, spec.name, dtype.dtype)
    defaults = sampling_defaults(folder.path, spec.name)
    tokenizer = load_tokenizer(folder, spec.name)
    image_processor = ImageProcessor(folder, spec.name, tokenizer) if folder.sees_images else None
    if image_processor is not None and image_processor.chat_template is not None:
        tokenizer.chat_template = image_processor.chat_template
    context_length = _context_length(config, tokenizer, options.max_context)
    working_bytes = encoder_working_bytes(config, context_length, dtype.dtype) if folder.has_encoder else 0
    admit(ledger, spec, folder, tensors, dtype=dtype.dtype, token_bytes=token_bytes, working_bytes=working_bytes)
    with Progress(on_progress):
        model = load_weights(_auto_class(folder), folder, spec, dtype.dtype, devices)
    n_parameters = model.num_parameters()
    if spec.quantisation is not None:
        quantise_model(model, spec.quantisation, options.device)
    _refuse_misread(model, spec.name)
    picture = None
    if image_processor is not None:
        _, picture = image_processor.prepare(Image.linear_gradient("L").convert("RGB"), "image")
    runner = build_runner(model, spec.name, free_bytes=ledger.free_bytes(), picture=picture)
    ledger.add_weights(spec.name, runner.extra_bytes)
    return LoadedModel(
        name=spec.name,
        model=model,
        runner=runner,
        tokenizer=tokenizer,
        context_length=context_length,
        n_parameters=n_parameters,
        dtype=dtype,
        revision=folder.revision,
        quantisation=str(spec.quantisation) if spec.quantisation else folder.stored_quantisation,
        token_bytes=token_bytes,
        devices=devices,
        end_ids=_end_ids(model, tokenizer),
        sampling_defaults=defaults,
        load_s=time.perf_counter() - started_at,
        image_processor=image_processor,
    )


def _auto_class(folder: ModelFolder) -> Any:
    """The class of transformers that loads it."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSeq2SeqLM

    if folder.has_encoder:
        return AutoModelForSeq2SeqLM
    return AutoModelForImageTextToText if folder.sees_images else AutoModelForCausalLM


def check_quantisation(spec: ModelSpec, folder: ModelFolder) -> None:
    """Refuse what cannot be quantised, or read quantised, here. Raises: ModelRefused."""
    stored = folder.stored_quantisation
    if stored is not None and not _is_known_format(stored):
        # transformers would only warn, and read the numbers as if they were weights.
        raise ModelRefused(f"{spec.name}: its weights are stored as {stored!r}, which transformers cannot read")
    if stored is not None and spec.quantisation is not None:
        raise ModelRefused(f"{spec.name}: its weights are stored as {stored} already; load it without --quantize")
    missing = [package for package in NEEDED_PACKAGES.get(stored or "", ()) if find_spec(package) is None]
    if missing:
        raise ModelRefused(f"{spec.name}: weights stored as {stored} need {' and '.join(missing)}, not installed here")
    if spec.quantisation is not None:
        try:
            refuse_missing(spec.quantisation)
        except QuantisationMissing as exc:
            raise ModelRefused(f"{spec.name}: {exc}") from exc


def _refuse_spread(spec: ModelSpec, devices: Sequence[torch.device]) -> None:
    """Raises: ModelRefused."""
    if spec.quantisation is not None and len(devices) > 1:
        raise ModelRefused(
            f"{spec.name}: --quantize keeps a model on one device; name one with --device, or leave out --quantize"
        )


def _is_known_format(stored: str) -> bool:
    # Costs seconds and memory, because it imports what is installed of all these packages.
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    return stored in {"bitsandbytes", *AUTO_QUANTIZATION_CONFIG_MAPPING}


def _refuse_misread(model: Any, name: str) -> None:
    """Raises: ModelRefused for 4 bits stored by bitsandbytes in rows that are not a whole number of its blocks.

    With AVX-512 its kernels (0.50) take such rows' scales from other blocks, or fail; on other processors and GPUs not.
    """
    if model.device.type != "cpu" or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return
    for path, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and state.shape[-1] % state.blocksize != 0:
            raise ModelRefused(
                f"{name}: the rows of {path} have {state.shape[-1]} numbers, no multiple of {state.blocksize}, and "
                "bitsandbytes misreads them on this processor; load the model's float weights with --quantize nf4"
            )


def admit(
    ledger: MemoryLedger,
    spec: ModelSpec,
    folder: ModelFolder,
    tensors: list[StoredTensor],
    *,
    dtype: torch.dtype,
    token_bytes: int,
    working_bytes: int = 0,
) -> None:
    """Raises: ModelRefused when it would not fit."""
    need = estimate(
        tensors,
        bytes_per_parameter=dtype.itemsize,
        quantisation=spec.quantisation,
        token_bytes=token_bytes,
        working_bytes=working_bytes,
    )
    if folder.stored_quantisation is not None:
        need = MemoryNeed(folder.weight_bytes, need.cache, need.working)
    loading = 0
    if spec.quantisation is not None:
        loading = sum(tensor.n_parameters for tensor in tensors) * dtype.itemsize
    hint = "a smaller --max-context needs less working memory" if working_bytes else ""
    ledger.admit(spec.name, need, loading=loading, hint=hint)


def token_bytes_of(config: Any, folder: ModelFolder, name: str, dtype: torch.dtype) -> int:
    """Keys and values of one token. Raises: ModelRefused for a config that describes no model."""
    try:
        return bytes_per_token(config, dtype)
    except Exception as exc:  # whatever numbers and types of strangers lead to
        raise ModelRefused(f"{name}: its config.json describes no model ({one_line(exc, folder)})") from exc


def _context_length(config: Any, tokenizer: Any, max_context: int | None) -> int:
    if config.is_encoder_decoder:
        known = _encoder_context_length(config, tokenizer)
    else:
        known = getattr(config.get_text_config(), "max_position_embeddings", None) or DEFAULT_CONTEXT
    return min(known, max_context) if max_context else int(known)


def _encoder_context_length(config: Any, tokenizer: Any) -> int:
    """The T5 family knows distances and no positions, so it has no hard limit: what it was trained with is one.

    The tokenizer's word counts first: it is saved with the length of a later training, which `n_positions` ignores.
    """
    if tokenizer.model_max_length <= LONGEST_CONTEXT:
        return int(tokenizer.model_max_length)
    return int(getattr(config, "n_positions", None) or DEFAULT_ENCODER_CONTEXT)


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    found = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    return frozenset(int(token) for token in found if token is not None)
