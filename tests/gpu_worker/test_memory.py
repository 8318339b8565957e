"""How much memory a model is said to need, and who gets what of a limit."""

from pathlib import Path

import pytest
import torch

from gpu_worker.modeling.loading import LoadOptions, load_model
from gpu_worker.modeling.memory import MemoryLedger, MemoryNeed, StoredTensor, bytes_per_token, estimate
from gpu_worker.modeling.source import ModelRefused, ModelSpec, Quantisation

CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.modeling.memory.available_memory_bytes", lambda: 1000 * MIB)


def need(weights: int) -> MemoryNeed:
    return MemoryNeed(weights, 10 * MIB, 10 * MIB)


def test_weights_count_in_the_format_in_which_they_will_be_kept() -> None:
    tensors = [
        StoredTensor("model.embed_tokens.weight", (1000, 64)),
        StoredTensor("lm_head.weight", (1000, 64)),
        StoredTensor("model.layers.0.mlp.up_proj.weight", (512, 64)),
        StoredTensor("model.norm.weight", (64,)),
    ]

    def weights(bytes_per_parameter: int, quantisation: Quantisation | None = None) -> int:
        return estimate(
            tensors, bytes_per_parameter=bytes_per_parameter, quantisation=quantisation, token_bytes=8
        ).weights

    table, linear, norm = 64_000, 64_000 + 512 * 64, 64
    assert weights(4) == 4 * (table + linear + norm)
    assert weights(2) == 2 * (table + linear + norm)
    assert weights(4, Quantisation.INT8) == int(4 * (table + norm) + 1.01 * linear)
    assert weights(4, Quantisation.NF4) == int(4 * (table + norm) + 0.5625 * linear)
    del tensors[1]  # its output layer is the table of embeddings, and has its own copy in 8 bits
    assert weights(4, Quantisation.INT8) == int(4 * (table + norm) + 1.01 * linear)


def test_the_estimate_of_a_real_model_is_what_it_holds(tiny: Path) -> None:
    ledger = MemoryLedger((CPU,), limit=10**12)
    loaded = load_model(ModelSpec(str(tiny), "m"), LoadOptions((CPU,), "float32", ledger=ledger), lambda share: None)
    assert ledger.held_bytes == sum(p.nbytes for p in loaded.model.parameters())
    assert loaded.token_bytes == bytes_per_token(loaded.model.config, torch.float32) == 2 * 2 * 2 * 16 * 4


def test_a_model_takes_what_the_limit_leaves(roomy: None) -> None:
    ledger = MemoryLedger((CPU,), limit=100 * MIB)
    ledger.admit("a", need(50 * MIB))
    with pytest.raises(ModelRefused, match=r"b: it needs about 0\.06 GiB .* 0\.05 GiB are left of --max-memory"):
        ledger.admit("b", need(40 * MIB))
    ledger.release("a")
    ledger.admit("b", need(40 * MIB))


def test_weights_and_caches_together_stay_under_the_limit(roomy: None) -> None:
    ledger = MemoryLedger((CPU,), limit=100 * MIB)
    ledger.admit("a", need(20 * MIB))
    n_tokens = ledger.grant_cache("a", MIB, n_waiting=1)
    assert n_tokens == 40, "half of what is left, for one more is to come"
    ledger.admit("b", need(20 * MIB))
    assert ledger.grant_cache("b", MIB, n_waiting=0) == 20
    assert ledger.held_bytes == 100 * MIB


def test_without_a_limit_models_share_what_is_free(roomy: None) -> None:
    ledger = MemoryLedger((CPU,))
    ledger.admit("a", need(20 * MIB))
    assert ledger.grant_cache("a", MIB, n_waiting=1) == 200
    assert ledger.grant_cache("b", MIB, n_waiting=0) == 200


def test_what_is_read_whole_to_be_quantised_must_fit_for_a_moment(roomy: None) -> None:
    with pytest.raises(ModelRefused, match=r"read whole, which takes 1\.95 GiB of host memory, and 0\.98 GiB are free"):
        MemoryLedger((CPU,)).admit("a", need(50 * MIB), loading=2000 * MIB)
