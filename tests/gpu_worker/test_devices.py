"""Several GPUs: which are taken, how memory is counted on them, and a model whose layers lie in several places.

No test machine has two GPUs. What a divided model does besides computing is done by the same hooks of accelerate when
layers lie on disk, so that is what is divided here.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.runner import GenericRunner
from gpu_worker.engine.scheduler import Chunk
from gpu_worker.modeling.device import DeviceError, choose_devices, describe_devices, visible_devices
from gpu_worker.modeling.embedding import load_embedder
from gpu_worker.modeling.loading import LoadOptions, load_model
from gpu_worker.modeling.memory import MemoryLedger, MemoryNeed
from gpu_worker.modeling.source import ModelRefused, ModelSpec, Quantisation
from gpu_worker.protocol import MAX_DEVICE_CHARS
from tests.gpu_worker.tiny_embedders import make_tiny_embedder
from tests.gpu_worker.tiny_t5 import make_tiny_t5

MIB = 2**20
GPUS = (torch.device("cuda", 0), torch.device("cuda", 1))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that knows of two, with 300 and 200 MiB free."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: ((300, 200)[device.index] * MIB, 1000 * MIB))


def test_devices_are_taken_by_their_numbers(two_gpus: None) -> None:
    assert choose_devices("cuda:0,1") == GPUS
    assert choose_devices("auto") == choose_devices("cuda") == choose_devices("cuda:0") == GPUS[:1]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("cuda:0,2", "there are 2 CUDA devices"),
        ("cuda:1,1", "names a device twice"),
        ("cuda:1,0", "name them as cuda:0,1, the order in which layers are divided"),
    ],
)
def test_devices_that_cannot_be_taken_as_named_are_refused(two_gpus: None, wanted: str, why: str) -> None:
    with pytest.raises(DeviceError, match=why):
        choose_devices(wanted)


def test_many_gpus_are_described_in_words_that_a_lease_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["NVIDIA H100 80GB HBM3"] * 8
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: names[device.index])
    gpus = [torch.device("cuda", index) for index in range(8)]
    assert describe_devices(gpus[2:3]) == "cuda:2 NVIDIA H100 80GB HBM3"
    assert describe_devices(gpus) == "cuda:0,1,2,3,4,5,6,7 NVIDIA H100 80GB HBM3"
    names[1] = "NVIDIA L4"
    assert describe_devices(gpus[:3]) == "cuda:0,2 NVIDIA H100 80GB HBM3, cuda:1 NVIDIA L4"
    names[:] = [f"NVIDIA of a kind of its own, number {index}" for index in range(8)]
    assert len(describe_devices(gpus)) == MAX_DEVICE_CHARS


def test_a_child_sees_the_gpus_of_its_worker_by_the_numbers_of_the_machine() -> None:
    assert visible_devices(GPUS[::-1], {}) == {"CUDA_VISIBLE_DEVICES": "1,0"}
    assert visible_devices(GPUS, {"CUDA_VISIBLE_DEVICES": "4, GPU-7f"}) == {"CUDA_VISIBLE_DEVICES": "4,GPU-7f"}
    assert visible_devices((torch.device("cpu"),), {"CUDA_VISIBLE_DEVICES": "4"}) == {}


def test_weights_count_on_all_devices_and_the_fullest_says_how_much_cache_there_is(two_gpus: None) -> None:
    ledger = MemoryLedger(GPUS)
    ledger.admit("m", MemoryNeed(400 * MIB, 50 * MIB, 50 * MIB))
    assert ledger.grant_cache("m", MIB, n_waiting=0) == int(0.8 * 2 * 200)
    with pytest.raises(ModelRefused, match=r"0\.49 GiB are free on cuda:0 and cuda:1"):
        ledger.admit("n", MemoryNeed(401 * MIB, 50 * MIB, 50 * MIB))


def test_a_model_on_one_of_several_devices_gets_what_is_free_there(two_gpus: None) -> None:
    ledger = MemoryLedger(GPUS)
    first = ledger.on(GPUS[:1])
    with pytest.raises(ModelRefused, match=r"0\.29 GiB are free on cuda:0$"):
        first.admit("m", MemoryNeed(301 * MIB, 0, 0))
    first.admit("m", MemoryNeed(100 * MIB, 0, 0))
    assert first.grant_cache("m", MIB, n_waiting=0) == int(0.8 * 300)
    assert ledger.held_bytes == 100 * MIB + int(0.8 * 300) * MIB, "one book for all models"


@pytest.mark.parametrize(("load", "make"), [(load_model, make_tiny_t5), (load_embedder, make_tiny_embedder)])
def test_an_encoder_must_fit_on_the_first_device(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, load: Any, make: Any
) -> None:
    spec = ModelSpec(str(make(tmp_path / "m")), "m")
    request.getfixturevalue("two_gpus")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: ((50, 100)[device.index] * MIB, 1000 * MIB))
    with pytest.raises(ModelRefused, match=r"0\.05 GiB are free on cuda:0($|;)"):
        load(spec, LoadOptions(GPUS, "float32", ledger=MemoryLedger(GPUS)), lambda share: None)


def test_a_quantised_model_wants_one_device(tiny: Path) -> None:
    spec = ModelSpec(str(tiny), "m", quantisation=Quantisation.INT8)
    with pytest.raises(ModelRefused, match="m: --quantize keeps a model on one device"):
        load_model(spec, LoadOptions(GPUS), lambda share: None)


def test_a_model_whose_layers_lie_apart_computes_the_same(tiny: Path, tmp_path: Path) -> None:
    auto: Any = AutoModelForCausalLM
    whole = auto.from_pretrained(tiny, dtype=torch.float32).eval()
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk"}
    places |= {"model.norm": "disk", "lm_head": "cpu"}
    divided = auto.from_pretrained(tiny, dtype=torch.float32, device_map=places, offload_folder=tmp_path).eval()
    assert any(parameter.device.type == "meta" for parameter in divided.parameters()), "nothing is apart: a void test"
    with torch.inference_mode():
        difference = (steps(GenericRunner(divided)) - steps(GenericRunner(whole))).abs().max().item()
    assert difference < 1e-5


def steps(runner: GenericRunner) -> torch.Tensor:
    """Logits of two prompts of different length, and of one token after each."""
    requests = [Request(str(n), list(range(3, 3 + n)), SamplingParams(max_tokens=4), 0.0) for n in (5, 9)]
    runner.add(requests)
    found = runner.compute([Chunk(request, 0, request.n_prompt) for request in requests])
    for request in requests:
        request.n_computed = request.n_prompt
        request.output_ids.append(7)
    found += runner.compute([Chunk(request, request.n_computed, 1) for request in requests])
    return torch.cat([logits for _, logits in found])
