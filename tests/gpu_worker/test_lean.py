"""The lean forward pass computes what transformers computes, for every kind of model that it takes."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gpu_worker.engine import llama
from gpu_worker.engine.lean import LeanRunner
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import GenericRunner, Runner
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.modeling.quantise import quantise_model
from gpu_worker.modeling.runners import build_runner
from gpu_worker.modeling.source import Quantisation

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 96,
    "intermediate_size": 200,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    # Large enough that the best token is clear, and rounding does not decide.
    "initializer_range": 0.15,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}
YARN_ROPE = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 256}

KINDS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "llama with biases": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama 3 rotation": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3_ROPE}),
    "yarn rotation": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": YARN_ROPE}),
    "tied, one head of keys": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True, "num_key_value_heads": 1}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "mistral, wide window": (MistralForCausalLM, MistralConfig, {"sliding_window": 2048}),
    "qwen 2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen 3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 32}),
    "large weights, which are packed": (
        LlamaForCausalLM,
        LlamaConfig,
        {"hidden_size": 768, "intermediate_size": 1400, "initializer_range": 0.04},
    ),
}

LONG_RUNS = {"llama", "qwen 3"}


def make(kind: str) -> Any:
    model_class, config_class, more = KINDS[kind]
    torch.manual_seed(3)
    model: Any = model_class(config_class(**(SIZES | more))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:  # ones and zeros would hide that they are left out
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and lose much where the machine is busy."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(n_threads)


def step(runner: Runner, requests: Sequence[Request]) -> torch.Tensor:
    """Compute all that is missing in one pass; `[requests, V]`."""
    computed = runner.compute([Chunk(one, one.n_computed, one.n_known - one.n_computed) for one in requests])
    logits = {chunk.request.id: rows[-1] for chunk, rows in computed}
    for request in requests:
        request.n_computed = request.n_known
    return torch.stack([logits[request.id] for request in requests])


def request(name: str, n_prompt: int) -> Request:
    ids = [(7 * i + 11 * n_prompt) % 297 + 3 for i in range(n_prompt)]
    return Request(name, ids, SamplingParams(max_tokens=600), 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_greedy_tokens_are_those_of_transformers(kind: str) -> None:
    model = make(kind)
    requests = [request("a", 5), request("b", 130), request("c", 1)]
    n_steps = 256 if kind in LONG_RUNS else 20
    runner = build_runner(model, "m", free_bytes=2**40)
    assert isinstance(runner, LeanRunner)
    runner.add(requests)
    steps = []
    for _ in range(n_steps):
        steps.append(step(runner, requests))
        for one, row in zip(requests, steps[-1], strict=True):
            one.output_ids.append(int(row.argmax()))
    for index, one in enumerate(requests):
        whole = model(torch.tensor([one.known_ids()])).logits[0, one.n_prompt - 1 : -1]
        # Token by token the same choice after the same beginning, so greedy decoding gives the same text.
        assert whole.argmax(-1).tolist() == one.output_ids
        torch.testing.assert_close(torch.stack(steps)[:, index], whole, atol=1e-4, rtol=0)


def test_a_prompt_in_chunks_beside_others_gives_the_logits_of_the_whole() -> None:
    model = make("qwen 3")
    runner = LeanRunner(llama.fuse(model, free_bytes=0))
    long, decoding = request("long", 150), request("decoding", 20)
    runner.add([long, decoding])
    step(runner, [decoding])
    for start in range(0, 150, 40):
        decoding.output_ids.append(9)
        chunk = Chunk(long, start, min(40, 150 - start))
        computed = runner.compute([Chunk(decoding, decoding.n_computed, 1), chunk])
        long.n_computed, decoding.n_computed = start + chunk.n_tokens, decoding.n_known
        logits = {chunk.request.id: rows for chunk, rows in computed}
        assert ("long" in logits) == (start + 40 >= 150), "only the end of a prompt has logits"
        expected = model(torch.tensor([decoding.known_ids()])).logits[0, -1]
        torch.testing.assert_close(logits["decoding"][-1], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        logits["long"][-1], model(torch.tensor([long.prompt_ids])).logits[0, -1], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("kind", Quantisation)
def test_quantised_weights_give_the_same_in_both_forms(kind: Quantisation) -> None:
    model = make("qwen 2")
    quantise_model(model, kind)
    requests = [request("a", 5), request("b", 60)]
    expected = torch.stack([model(torch.tensor([one.prompt_ids])).logits[0, -1] for one in requests])
    runner = build_runner(model, "m", free_bytes=2**40)
    assert isinstance(runner, LeanRunner)
    runner.add(requests)
    torch.testing.assert_close(step(runner, requests), expected, atol=0.02 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("kind", ["qwen 3", "large weights, which are packed"])
def test_numbers_of_16_bits_stay_close(kind: str) -> None:
    model = make(kind).to(torch.bfloat16)
    one = request("a", 40)
    expected = model(torch.tensor([one.prompt_ids])).logits[0, -1].float()
    runner = build_runner(model, "m", free_bytes=2**40)
    assert isinstance(runner, LeanRunner)
    runner.add([one])
    assert (step(runner, [one])[0].float() - expected).abs().max() < 0.05 * expected.abs().max()


def test_packed_copies_are_made_where_there_is_room_and_counted() -> None:
    kind = "large weights, which are packed"
    # Three layers of qkv 1280 x 768, out 768 x 768, gate-up 2800 x 768 and down 768 x 1400; the head is too small.
    n_bytes = 3 * 4 * 768 * (1280 + 768 + 2800 + 1400)
    assert llama.fuse(make(kind), free_bytes=4 * n_bytes).packed_bytes == n_bytes
    assert llama.fuse(make(kind), free_bytes=4 * n_bytes - 4).packed_bytes == 0
    assert llama.fuse(make("llama"), free_bytes=2**40).packed_bytes == 0


def test_the_models_weights_are_not_stored_twice() -> None:
    model = make("llama")
    n_bytes = sum(parameter.nbytes for parameter in model.parameters())
    lean = llama.fuse(model, free_bytes=0)
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    assert sum(storages.values()) == n_bytes
    assert lean.embedding.data_ptr() in storages


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("mistral", {"sliding_window": 64}),
        ("llama", {"hidden_act": "gelu"}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}}),
    ],
)
def test_what_it_does_not_know_goes_the_generic_way(kind: str, change: dict[str, Any]) -> None:
    model_class, config_class, more = KINDS[kind]
    torch.manual_seed(3)
    model = model_class(config_class(**(SIZES | more | change))).eval()
    assert isinstance(build_runner(model, "m", free_bytes=2**40), GenericRunner)
