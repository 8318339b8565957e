"""Models whose engine is a child server: chosen by their files or by the operator, checked, and started.

Used on the loading thread. The prompt is rendered and counted here, as for our own engine; the child gets token ids.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from gpu_worker.engine.child import ChildFailed, ChildServer
from gpu_worker.engine.context import Context
from gpu_worker.engine.dialects import ControlTokens, Dialect, LlamaCpp, Vllm
from gpu_worker.engine.interface import EngineKind
from gpu_worker.engine.llamacpp_server import KEY_VARIABLE, LlamaCppOptions
from gpu_worker.engine.token_text import TokenText
from gpu_worker.modeling.gguf_files import (
    HOW_TO_INSTALL,
    GgufFacts,
    check_tokenizer,
    find_gguf,
    load_tokenizer,
    read_facts,
)
from gpu_worker.modeling.source import ModelRefused, ModelSpec, open_source
from gpu_worker.tools.tokens import marker_ids, special_ids

if TYPE_CHECKING:
    from gpu_worker.engine.detokenize import Decode
    from gpu_worker.engine.engine import Deliver
    from gpu_worker.engine.remote import RemoteEngine
    from gpu_worker.modeling.memory import MemoryLedger
    from gpu_worker.prompts.chat import Prompter
    from gpu_worker.server.models import ServingOptions

MAX_LLAMACPP_PARALLEL = 64
"""Answers that one llama.cpp server computes together."""

LARGEST_LLAMACPP_CACHE = 131_072
"""Tokens, unless one answer needs more: llama.cpp takes the memory of its whole cache at the start."""

HOW_TO_INSTALL_VLLM = "install it beside the worker with: pip install vllm"


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model in a child server, as `ServedModel` sees one."""

    name: str
    tokenizer: Any
    context_length: int
    n_parameters: int
    weight_format: str
    n_vocabulary: int
    end_ids: frozenset[int]
    load_s: float
    revision: str | None = None
    sampling_defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def decode(self) -> "Decode":
        """Turns token ids into text without special tokens."""
        return lambda ids: str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a child server must know of this worker."""

    options: "ServingOptions"
    ledger: "MemoryLedger"
    n_waiting: int
    """Models that will be loaded after this one."""
    deliver: "Deliver"


def choose_engine(spec: ModelSpec) -> EngineKind:
    """What the operator says, else what the model's files ask for. Raises: ModelRefused."""
    gguf = find_gguf(spec)
    if spec.engine is None:
        return EngineKind.TORCH if gguf is None else EngineKind.LLAMACPP
    if (gguf is not None) != (spec.engine is EngineKind.LLAMACPP):
        files = "a GGUF file" if gguf is not None else "no GGUF file"
        raise ModelRefused(f"{spec.name}: it is {files}, which the engine {spec.engine} cannot serve")
    return spec.engine


Opened = tuple[ForeignModel, "Prompter", "RemoteEngine"]


def open_foreign(kind: EngineKind, spec: ModelSpec, around: Surroundings) -> Opened:
    """Start a model's child server. Blocks until it answers. Raises: ModelRefused."""
    if spec.quantisation is not None:
        raise ModelRefused(f"{spec.name}: --quantize is for the engine torch, and this model is served by {kind}")
    return _open_llamacpp(spec, around) if kind is EngineKind.LLAMACPP else _open_vllm(spec, around)


def _open_llamacpp(spec: ModelSpec, around: Surroundings) -> Opened:
    from gpu_worker.modeling.device import physical_cores
    from gpu_worker.modeling.memory import WORKING_BYTES, MemoryNeed

    started_at = time.perf_counter()
    path = find_gguf(spec)
    if path is None or find_spec("xllamacpp") is None:
        raise ModelRefused(f"{spec.name}: this worker cannot serve GGUF files; {HOW_TO_INSTALL}")
    facts = read_facts(path, spec.name)
    tokenizer = load_tokenizer(path, spec.name)
    weights = path.stat().st_size
    around.ledger.admit(spec.name, MemoryNeed(weights, 256 * facts.cache_bytes_per_token, WORKING_BYTES))
    n_granted = around.ledger.grant_cache(spec.name, facts.cache_bytes_per_token, n_waiting=around.n_waiting)
    options = around.options
    context_length = min(facts.context_length, options.max_context or facts.context_length, n_granted)
    n_parallel = min(options.max_batch, MAX_LLAMACPP_PARALLEL)
    n_cache = min(n_granted, context_length * n_parallel, max(context_length, LARGEST_LLAMACPP_CACHE))

    def command(port: int) -> list[str]:
        given = LlamaCppOptions(
            path=str(path.resolve()),
            port=port,
            n_cache_tokens=n_cache,
            n_parallel=n_parallel,
            n_threads=options.threads or physical_cores(),
            uses_gpu=around.ledger.devices[0].type == "cuda",
        )
        return [sys.executable, "-m", "gpu_worker.engine.llamacpp_server", given.to_json()]

    child = _started(
        ChildServer(command, key_variable=KEY_VARIABLE, environment=_seen(around)), spec, EngineKind.LLAMACPP
    )
    try:
        check_tokenizer(tokenizer, lambda text: _llamacpp_ids(child, text), spec.name)
        prompter = _prompter(spec, tokenizer, context_length)
        dialect = LlamaCpp(TokenText(tokenizer), _control_tokens(tokenizer, facts, prompter))
    except BaseException:
        child.stop(10)
        raise
    model = _gguf_model(spec, facts, tokenizer, context_length=context_length, started_at=started_at)
    return model, prompter, _engine(child, dialect, around, name=spec.name, n_parallel=n_parallel, n_cache=n_cache)


def _control_tokens(tokenizer: Any, facts: GgufFacts, prompter: "Prompter") -> ControlTokens:
    hidden = sorted(special_ids(tokenizer) | facts.end_ids)
    texts = dict(zip(hidden, map(str, tokenizer.convert_ids_to_tokens(hidden)), strict=True))
    return ControlTokens(texts, marker_ids(tokenizer, prompter.tool_format))


def _prompter(spec: ModelSpec, tokenizer: Any, context_length: int) -> "Prompter":
    from gpu_worker.prompts.chat import Prompter
    from gpu_worker.prompts.conversation import find_template

    template = find_template(spec.template) if spec.template else None
    return Prompter(spec.name, tokenizer, Context.shared(context_length), template)


def _gguf_model(
    spec: ModelSpec, facts: GgufFacts, tokenizer: Any, *, context_length: int, started_at: float
) -> ForeignModel:
    return ForeignModel(
        name=spec.name,
        tokenizer=tokenizer,
        context_length=context_length,
        n_parameters=facts.n_parameters,
        weight_format=facts.file_type,
        n_vocabulary=facts.n_vocabulary,
        end_ids=facts.end_ids,
        load_s=time.perf_counter() - started_at,
    )


def _llamacpp_ids(child: ChildServer, text: str) -> list[int]:
    body = {"content": text, "add_special": False, "parse_special": True}
    reply = httpx.post(f"{child.url}/tokenize", json=body, headers=child.headers, timeout=60, trust_env=False)
    return [int(token) for token in reply.raise_for_status().json()["tokens"]]


def _open_vllm(spec: ModelSpec, around: Surroundings) -> Opened:
    from transformers import AutoConfig, AutoTokenizer

    from gpu_worker.modeling.sampling_defaults import sampling_defaults

    started_at = time.perf_counter()
    if find_spec("vllm") is None:
        raise ModelRefused(f"{spec.name}: this worker has no vLLM; {HOW_TO_INSTALL_VLLM}")
    folder = open_source(spec)
    if folder.has_encoder:
        raise ModelRefused(f"{spec.name}: encoder-decoder models are served by the engine torch, not by vllm")
    defaults = sampling_defaults(folder.path, spec.name)
    try:
        config = AutoConfig.from_pretrained(folder.path, trust_remote_code=False, local_files_only=True)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False, local_files_only=True)
    except Exception as exc:  # transformers raises many kinds for what is one thing to a user
        raise ModelRefused(f"{spec.name}: its config or tokenizer cannot be read ({type(exc).__name__})") from exc
    text_config = config.get_text_config()
    known = int(getattr(text_config, "max_position_embeddings", None) or 2048)
    context_length = min(known, around.options.max_context or known)
    child = ChildServer(
        lambda port: _vllm_command(spec, folder.path, port, around, context_length),
        key_variable="VLLM_API_KEY",
        environment=_seen(around),
    )
    _started(child, spec, EngineKind.VLLM)
    try:
        prompter = _prompter(spec, tokenizer, context_length)
    except BaseException:
        child.stop(10)
        raise
    model = ForeignModel(
        name=spec.name,
        tokenizer=tokenizer,
        context_length=context_length,
        n_parameters=_n_parameters(folder.weight_files),
        weight_format=folder.stored_quantisation or _vllm_dtype(around.options) or str(config.dtype).split(".")[-1],
        n_vocabulary=int(text_config.vocab_size),
        end_ids=frozenset() if tokenizer.eos_token_id is None else frozenset({int(tokenizer.eos_token_id)}),
        load_s=time.perf_counter() - started_at,
        revision=folder.revision,
        sampling_defaults=defaults,
    )
    return model, prompter, _engine(child, Vllm(spec.name), around, name=spec.name, n_parallel=around.options.max_batch)


def _vllm_command(spec: ModelSpec, folder: Path, port: int, around: Surroundings, context_length: int) -> list[str]:
    """Source: vLLM, "Engine Arguments" and "OpenAI-Compatible Server"."""
    options = around.options
    settings = {
        "--model": str(folder.resolve()),
        "--served-model-name": spec.name,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--max-num-seqs": str(options.max_batch),
        "--max-model-len": str(context_length),
        "--dtype": options.dtype,
        "--tensor-parallel-size": str(len(around.ledger.devices)),
    }
    given = [word for pair in settings.items() for word in pair]
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *given, "--enable-prompt-tokens-details"]


def _seen(around: Surroundings) -> dict[str, str]:
    """A child uses the GPUs that the worker was given, and no others."""
    from gpu_worker.modeling.device import visible_devices

    return visible_devices(around.ledger.devices, os.environ)


def _vllm_dtype(options: "ServingOptions") -> str | None:
    return None if options.dtype == "auto" else options.dtype


def _n_parameters(weight_files: list[Path]) -> int:
    from math import prod

    from safetensors import safe_open

    n_parameters = 0
    for path in weight_files:
        with safe_open(path, framework="pt") as weights:
            n_parameters += sum(prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    return n_parameters


def _started(child: ChildServer, spec: ModelSpec, kind: EngineKind) -> ChildServer:
    try:
        child.start()
    except ChildFailed as exc:
        raise ModelRefused(f"{spec.name}: {kind} could not serve it: {exc}") from exc
    return child


def _engine(
    child: ChildServer,
    dialect: Dialect,
    around: Surroundings,
    *,
    name: str,
    n_parallel: int,
    n_cache: int | None = None,
) -> "RemoteEngine":
    from gpu_worker.engine.remote import RemoteEngine, RemoteLimits

    n_extra = around.options.max_batch - n_parallel
    limits = RemoteLimits(n_parallel, around.options.max_queue + n_extra, n_cache)
    engine = RemoteEngine(child, dialect, limits, around.deliver, name=name)
    engine.start()
    return engine
