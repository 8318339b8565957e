"""Chooses what computes a model, and proves that it computes what the model does.

It reads no files.
"""

from typing import Any

import torch

from gpu_worker.engine import llama
from gpu_worker.engine.encoder_decoder import EncoderDecoderRunner
from gpu_worker.engine.lean import LeanRunner
from gpu_worker.engine.lora import AdapterBank
from gpu_worker.engine.picture import Picture
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import GenericRunner, Runner
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.engine.vision import VisionRunner
from gpu_worker.modeling.quantise import QuantisedLinear
from gpu_worker.modeling.source import ModelRefused

TOLERANCE = 1e-4
"""Root of the mean square of the difference, as a share of the logits' own, in float32."""

TOLERANCE_ROUNDED = 0.2
"""Numbers of 16 bits or fewer round more, and differently in a batch: between bfloat16 and float32 of one and the same
model it is 0.1 to 0.2. A model that is computed wrongly is off by about 1."""


TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids"})
"""What a processor says of the text beside an image."""


def build_runner(model: Any, name: str, *, free_bytes: int, picture: Picture | None = None) -> Runner:
    """The runner that knows the model best, which is the generic one for most. Raises: ModelRefused.

    `free_bytes`: what is left beside the model; a part of it may go into a faster form of its weights.
    `picture`: any image, for a model that sees them.

    Refused is a model that the batched cache computes wrongly: recurrent layers, unusual positions or masks. Two
    prompts of different length go through the runner, one token of each is decoded, and the logits must be those that
    the model computes for each alone.
    """
    start_id = _start_id(model, name) if model.config.is_encoder_decoder else None
    try:
        with torch.inference_mode():
            runner = VisionRunner(model) if picture is not None else _choose(model, start_id, free_bytes)
            batched = _batched_logits(runner, requests := _requests(model, picture))
            alone = torch.stack([_alone(model, request, runner.start_ids) for request in requests])
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


def _requests(model: Any, picture: Picture | None) -> list[Request]:
    """Two prompts of different length, each with one token of an answer; the second has the image, if there is one."""
    vocabulary = model.config.get_text_config().vocab_size
    long, short = ([(7 * i + 3) % vocabulary for i in range(n)] for n in (9, 4))
    pictures: tuple[Picture, ...] = ()
    if picture is not None:
        # Whatever number these ids have, they are no places for images.
        image = model.config.image_token_id
        long, short = ([token if token != image else 0 for token in ids] for ids in (long, short))
        short[1:1] = [image] * picture.n_tokens
        pictures = (picture,)
    requests = [
        Request("0", long[:-1], SamplingParams(max_tokens=1), 0.0),
        Request("1", short[:-1], SamplingParams(max_tokens=1), 0.0, pictures=pictures),
    ]
    for request, ids in zip(requests, (long, short), strict=True):
        request.output_ids.append(ids[-1])
    return requests


def _alone(model: Any, request: Request, start_ids: tuple[int, ...]) -> torch.Tensor:
    """Logits `[V]` after a prompt and one token of an answer."""
    tokens = torch.tensor([request.known_ids()], device=model.device)
    if start_ids:
        answer = torch.tensor([[*start_ids, *request.output_ids]], device=model.device)
        prompt = tokens[:, : request.n_prompt]
        return model(input_ids=prompt, decoder_input_ids=answer).logits[0, -1]  # type: ignore[no-any-return]
    if not request.pictures:
        return model(tokens).logits[0, -1]  # type: ignore[no-any-return]
    (picture,) = request.pictures
    seen = {name: value.to(model.device) for name, value in picture.inputs.items() if name not in TEXT_INPUTS}
    if "mm_token_type_ids" in picture.inputs:
        seen["mm_token_type_ids"] = (tokens == model.config.image_token_id).int()
    return model(input_ids=tokens, **seen).logits[0, -1]  # type: ignore[no-any-return]


def _batched_logits(runner: Runner, requests: list[Request]) -> torch.Tensor:
    """The same of all of them together: first the prompts, then the tokens of their answers."""
    answers = [request.output_ids for request in requests]
    for request in requests:
        request.output_ids = []
    runner.add(requests)
    runner.compute([Chunk(request, 0, request.n_prompt) for request in requests])
    for request, answer in zip(requests, answers, strict=True):
        request.n_computed = request.n_prompt
        request.output_ids = answer
    computed = runner.compute([Chunk(request, request.n_computed, 1) for request in requests])
    logits = {id(chunk.request): rows[-1] for chunk, rows in computed}
    return torch.stack([logits[id(request)] for request in requests])
