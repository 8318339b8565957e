"""Chooses what computes a model, and proves that it computes what the model does.

It reads no files.
"""

from typing import Any

import torch

from gpu_worker.engine import llama
from gpu_worker.engine.encoder_decoder import EncoderDecoderRunner
from gpu_worker.engine.lean import LeanRunner
from gpu_worker.engine.lora import AdapterBank
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import GenericRunner, Runner
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.modeling.quantise import QuantisedLinear
from gpu_worker.modeling.source import ModelRefused

TOLERANCE = 1e-4
"""Root of the mean square of the difference, as a share of the logits' own, in float32."""

TOLERANCE_ROUNDED = 0.2
"""Numbers of 16 bits or fewer round more, and differently in a batch: between bfloat16 and float32 of one and the same
model it is 0.1 to 0.2. A model that is computed wrongly is off by about 1."""


def build_runner(model: Any, name: str, *, free_bytes: int) -> Runner:
    """The runner that knows the model best, which is the generic one for most. Raises: ModelRefused.

    `free_bytes`: what is left beside the model; a part of it may go into a faster form of its weights.

    Refused is a model that the batched cache computes wrongly: recurrent layers, unusual positions or masks. Two
    prompts of different length go through the runner, one token of each is decoded, and the logits must be those that
    the model computes for each alone.
    """
    start_id = _start_id(model, name) if model.config.is_encoder_decoder else None
    try:
        with torch.inference_mode():
            runner = _choose(model, start_id, free_bytes)
            batched = _batched_logits(runner, prompts := _prompts(model))
            alone = torch.stack([_alone(model, ids, runner.start_ids) for ids in prompts])
            runner.reset()
    except Exception as exc:  # whatever a model's code raises here, it cannot be served
        raise ModelRefused(f"{name}: a model of its kind cannot be served in batches ({type(exc).__name__})") from exc
    error = ((batched.float() - alone.float()).norm(dim=-1) / alone.float().norm(dim=-1)).max().item()
    if not error <= _tolerance(model):
        raise ModelRefused(f"{name}: a model of its kind computes something else in batches (difference {error:.2g})")
    return runner


def _start_id(model: Any, name: str) -> int:
    start_id = model.generation_config.decoder_start_token_id
    if not isinstance(start_id, int) or not 0 <= start_id < model.config.vocab_size:
        raise ModelRefused(f"{name}: its config.json has no decoder_start_token_id, with which every answer begins")
    return start_id


def _choose(model: Any, start_id: int | None, free_bytes: int) -> Runner:
    if start_id is not None:
        return EncoderDecoderRunner(model, start_id)
    if llama.supports(model):
        return LeanRunner(llama.fuse(model, free_bytes=free_bytes), AdapterBank())
    return GenericRunner(model, AdapterBank(model))


def _tolerance(model: Any) -> float:
    is_rounded = model.dtype != torch.float32 or any(isinstance(m, QuantisedLinear) for m in model.modules())
    return TOLERANCE_ROUNDED if is_rounded else TOLERANCE


def _prompts(model: Any) -> list[list[int]]:
    vocabulary = model.config.get_text_config().vocab_size
    return [[(7 * i + 3) % vocabulary for i in range(n)] for n in (9, 4)]


def _alone(model: Any, ids: list[int], start_ids: tuple[int, ...]) -> torch.Tensor:
    """Logits `[V]` after a prompt of all ids but the last, and that one as the beginning of an answer."""
    tokens = torch.tensor([ids], device=model.device)
    if not start_ids:
        return model(tokens).logits[0, -1]  # type: ignore[no-any-return]
    answer = torch.tensor([[*start_ids, ids[-1]]], device=model.device)
    return model(input_ids=tokens[:, :-1], decoder_input_ids=answer).logits[0, -1]  # type: ignore[no-any-return]


def _batched_logits(runner: Runner, prompts: list[list[int]]) -> torch.Tensor:
    requests = [Request(str(i), ids[:-1], SamplingParams(max_tokens=1), 0.0) for i, ids in enumerate(prompts)]
    runner.add(requests)
    runner.compute([Chunk(request, 0, request.n_prompt) for request in requests])
    for request, ids in zip(requests, prompts, strict=True):
        request.n_computed = request.n_prompt
        request.output_ids.append(ids[-1])
    computed = runner.compute([Chunk(request, request.n_computed, 1) for request in requests])
    logits = {id(chunk.request): rows[-1] for chunk, rows in computed}
    return torch.stack([logits[id(request)] for request in requests])
