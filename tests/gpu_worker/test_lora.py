"""LoRA adapters: equal to PEFT, alone and mixed in one batch, at the cost of their own matrices alone."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from gpu_worker.engine import llama
from gpu_worker.engine.lean import LeanRunner
from gpu_worker.engine.lora import Adapter, AdapterBank, LoraPair, add_lora, route
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import GenericRunner, Runner
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.modeling.adapters import load_adapter
from gpu_worker.modeling.source import ModelRefused
from tests.gpu_worker.tiny_adapters import base_model, make_adapter
from tests.gpu_worker.tiny_models import make_tiny_model

# PEFT reads it of every model that it wraps.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
EVERYTHING = [*ATTENTION, "gate_proj", "up_proj", "down_proj", "lm_head"]
CPU = torch.device("cpu")

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
    "everything": {"r": 8, "lora_alpha": 4, "target_modules": EVERYTHING},
    "rslora": {"r": 9, "lora_alpha": 6, "target_modules": ATTENTION, "use_rslora": True},
    "patterns": {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": r".*\.(q_proj|down_proj)",
        "rank_pattern": {"down_proj": 6},
        "alpha_pattern": {r"layers\.1\..*q_proj": 16},
    },
    "one layer": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "layers_to_transform": [1]},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without impossible tokens, whose logits of a thousand round by more than what is compared."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "base", never_ends=False)


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        kind: make_adapter(root / kind.replace(" ", "-"), base, seed=seed, **config)
        for seed, (kind, config) in enumerate(KINDS.items())
    }


@pytest.fixture
def model(base: Path) -> Any:
    return base_model(base)


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(params=["generic", "lean"])
def bank(request: pytest.FixtureRequest, model: Any) -> AdapterBank:
    """Of a model that adds adapters by itself, or for a lean forward that adds them."""
    return AdapterBank(model if request.param == "generic" else None)


@pytest.fixture
def new_runner(bank: AdapterBank, model: Any) -> Callable[[], Runner]:
    if bank.model is not None:
        return lambda: GenericRunner(model, bank)
    lean = llama.fuse(model, free_bytes=0)
    return lambda: LeanRunner(lean, bank)


def prompt(n: int, seed: int) -> list[int]:
    return [(7 * i * seed + 3 * i + seed) % 500 + 3 for i in range(n)]


def continue_greedily(runner: Runner, requests: list[Request], n_tokens: int) -> list[torch.Tensor]:
    """Decode all requests in one batch; each one's logits `[n_tokens, V]`."""
    runner.add(requests)
    steps = [last_logits(runner, requests)]
    for _ in range(n_tokens - 1):
        for request, row in zip(requests, steps[-1], strict=True):
            request.n_computed = request.n_known
            request.output_ids.append(int(row.argmax()))
        steps.append(last_logits(runner, requests))
    return list(torch.stack(steps, dim=1))


def last_logits(runner: Runner, requests: list[Request]) -> torch.Tensor:
    computed = runner.compute([Chunk(one, one.n_computed, one.n_known - one.n_computed) for one in requests])
    logits = {id(chunk.request): rows[-1] for chunk, rows in computed}
    return torch.stack([logits[id(request)] for request in requests])


def new_request(ids: list[int], key: str | None) -> Request:
    return Request(f"{key} {ids[:3]}", ids, SamplingParams(max_tokens=50), 0.0, adapter=key)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_computes_what_peft_computes(
    kind: str, base: Path, folders: dict[str, Path], model: Any, bank: AdapterBank, new_runner: Callable[[], Runner]
) -> None:
    oracle: Any = PeftModel.from_pretrained(base_model(base), folders[kind])
    adapter = bank.add(kind, load_adapter(folders[kind], kind, model))
    ids = prompt(20, 5)
    (logits,) = continue_greedily(new_runner(), [new_request(ids, adapter.key)], 30)
    expected = oracle.generate(torch.tensor([ids]), max_new_tokens=30, do_sample=False, eos_token_id=None)
    assert logits.argmax(-1).tolist() == expected[0, 20:].tolist()
    whole = oracle(torch.tensor([expected[0].tolist()])).logits[0, 19:-1]
    torch.testing.assert_close(logits, whole, atol=1e-4, rtol=0)
    plain = model(torch.tensor([ids])).logits[0, -1]
    assert (logits[0] - plain).abs().max() > 0.1, "the adapter does something"


def test_mixed_in_one_batch_each_is_as_alone(
    folders: dict[str, Path], model: Any, bank: AdapterBank, new_runner: Callable[[], Runner]
) -> None:
    keys = [bank.add(kind, load_adapter(folders[kind], kind, model)).key for kind in KINDS]
    wanted = [None, *keys, keys[0], None, keys[1]]
    prompts = [prompt(5 + 3 * i, i + 1) for i in range(len(wanted))]
    alone = [
        continue_greedily(new_runner(), [new_request(ids, key)], 10)[0]
        for ids, key in zip(prompts, wanted, strict=True)
    ]
    requests = [new_request(ids, key) for ids, key in zip(prompts, wanted, strict=True)]
    mixed = continue_greedily(new_runner(), requests, 10)
    for one, other in zip(alone, mixed, strict=True):
        assert one.argmax(-1).tolist() == other.argmax(-1).tolist()
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_rows_of_the_base_are_untouched_by_their_neighbours_broken_adapter(
    model: Any, bank: AdapterBank, new_runner: Callable[[], Runner]
) -> None:
    weight = model.model.layers[0].self_attn.q_proj.weight
    pair = LoraPair(torch.full((2, weight.shape[1]), math.nan), torch.ones(weight.shape[0], 2))
    broken = bank.add("broken", {"model.layers.0.self_attn.q_proj": pair})
    ids = prompt(9, 2)
    (alone,) = continue_greedily(new_runner(), [new_request(ids, None)], 5)
    requests = [new_request(ids, broken.key), new_request(ids, None)]
    nan, beside = continue_greedily(new_runner(), requests, 5)
    assert nan.isnan().all()
    torch.testing.assert_close(alone, beside, atol=1e-4, rtol=0)


def test_n_adapters_cost_n_times_their_matrices_and_the_base_exists_once(folders: dict[str, Path], model: Any) -> None:
    def storages() -> dict[int, int]:
        tensors = [*model.parameters(), *model.buffers()]
        tensors += [half for adapter in loaded for pair in adapter.pairs.values() for half in (pair.down, pair.up)]
        return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}

    loaded: list[Adapter] = []
    alone = storages()
    bank = AdapterBank(model)
    for n in range(1, 5):
        loaded.append(bank.add(f"copy {n}", load_adapter(folders["plain"], "plain", model)))
        assert set(alone) <= set(storages())
        assert sum(storages().values()) == sum(alone.values()) + n * loaded[0].n_bytes
    # Rank 4 on q (64 to 64) and v (64 to 32) of two layers, in float32.
    assert loaded[0].n_bytes == 2 * 4 * (4 * (64 + 64) + 4 * (64 + 32))
    assert loaded[0].n_bytes == sum(
        t.nbytes for t in load_file(folders["plain"] / "adapter_model.safetensors").values()
    )


def test_fused_projections_add_to_slices_of_tokens_without_padding() -> None:
    torch.manual_seed(1)
    first, second = (
        Adapter(
            name,
            name,
            {"q": LoraPair(torch.randn(3, 8), torch.randn(6, 3)), "v": LoraPair(torch.randn(2, 8), torch.randn(4, 2))},
        )
        for name in ("first", "second")
    )
    x, y = torch.randn(9, 8), torch.zeros(9, 10)
    routing = route([first, None, second, first], CPU, n_tokens=[2, 3, 3, 1])
    assert routing is not None
    add_lora(y[:, :6], x, "q", routing)
    add_lora(y[:, 6:], x, "v", routing)
    add_lora(y, x, "elsewhere", routing)
    by_token = [first] * 2 + [None] * 3 + [second] * 3 + [first]
    for token, adapter in enumerate(by_token):
        expected = torch.zeros(10)
        if adapter is not None:
            expected[:6] = adapter.pairs["q"].up @ adapter.pairs["q"].down @ x[token]
            expected[6:] = adapter.pairs["v"].up @ adapter.pairs["v"].down @ x[token]
        torch.testing.assert_close(y[token], expected, atol=1e-5, rtol=1e-5)


def test_a_batch_without_adapters_is_routed_nowhere() -> None:
    assert route([None, None], CPU) is None
    assert AdapterBank().routed([None], CPU) is None


def test_a_name_that_is_used_again_has_another_key(folders: dict[str, Path], model: Any) -> None:
    bank = AdapterBank(model)
    before = bank.add("same", load_adapter(folders["plain"], "same", model))
    bank.remove(before.key)
    after = bank.add("same", load_adapter(folders["rslora"], "same", model))
    assert before.key != after.key
    with pytest.raises(KeyError):
        bank.routed([before.key], CPU)


# --- what is refused ---


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["plain"], tmp_path / "copy"))


def refusal(folder: Path, model: Any) -> str:
    with pytest.raises(ModelRefused) as caught:
        load_adapter(folder, "parrot", model)
    sentence = str(caught.value)
    assert sentence.startswith("parrot: ")
    assert str(folder) not in sentence
    return sentence


def edit(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"target_parameters": ["experts.down_proj"]}, "target_parameters"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [3]}, "alora_invocation_tokens"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"something_of_tomorrow": 1}, "something_of_tomorrow"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
        ({"r": 0}, "r in"),
        ({"r": True}, "r in"),
        ({"r": 5}, "rank is 5"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": "8"}, "lora_alpha"),
        ({"target_modules": None}, "target_modules"),
        ({"target_modules": ["q_proj"]}, "v_proj"),
        ({"target_modules": "("}, "malformed"),
        ({"exclude_modules": ["v_proj"]}, "v_proj"),
        ({"layers_to_transform": "all"}, "layers_to_transform"),
        ({"layers_to_transform": [0]}, "layers.1"),
        ({"rank_pattern": {"q_proj": 4.5}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": None}}, "alpha_pattern"),
    ],
)
def test_what_is_not_done_is_refused_by_name(changes: dict[str, object], named: str, copy: Path, model: Any) -> None:
    edit(copy, **changes)
    assert named in refusal(copy, model)


@pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000, "\x00"])
def test_a_malformed_config(text: str, copy: Path, model: Any) -> None:
    (copy / "adapter_config.json").write_text(text)
    assert "adapter_config.json" in refusal(copy, model)


def test_a_folder_that_is_no_adapter(base: Path, model: Any) -> None:
    assert "no adapter_config.json" in refusal(base, model)


def test_pickled_weights_are_never_loaded(copy: Path, model: Any) -> None:
    (copy / "adapter_model.safetensors").rename(copy / "adapter_model.bin")
    assert "pickle" in refusal(copy, model)
    (copy / "adapter_model.bin").unlink()
    assert "no weights" in refusal(copy, model)


def test_weights_that_are_cut_short(copy: Path, model: Any) -> None:
    path = copy / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged" in refusal(copy, model)


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("key", "tensor", "named"),
    [
        (FIRST, None, "missing"),
        (FIRST, torch.zeros(4, 63), "another base"),
        (FIRST, torch.zeros(4, 64, 1), "another base"),
        (FIRST, torch.full((4, 64), math.inf), "finite"),
        (FIRST, torch.zeros(4, 64, dtype=torch.int64), "finite"),
        (FIRST.replace("layers.0", "layers.7"), torch.zeros(4, 64), "missing"),
        ("base_model.model.lm_head.weight", torch.zeros(2), "lm_head"),
        (FIRST.replace("lora_A.weight", "lora_magnitude_vector"), torch.zeros(64), "lora_magnitude_vector"),
    ],
)
def test_weights_that_do_not_fit(key: str, tensor: torch.Tensor | None, named: str, copy: Path, model: Any) -> None:
    weights = load_file(copy / "adapter_model.safetensors")
    weights.pop(key, None)
    save_file(weights | ({} if tensor is None else {key: tensor}), copy / "adapter_model.safetensors")
    assert named in refusal(copy, model)


def test_an_adapter_of_a_base_with_other_modules(copy: Path, model: Any) -> None:
    weights = load_file(copy / "adapter_model.safetensors")
    save_file({k.replace("layers.1", "layers.7"): v for k, v in weights.items()}, copy / "adapter_model.safetensors")
    assert "no linear module model.layers.7.self_attn" in refusal(copy, model)
