"""Weights in few bits: close to the float result, row by row, whoever else is in the batch."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from gpu_worker.modeling.quantise import (
    Int8Weight,
    PackedInt8Weight,
    QuantisationMissing,
    QuantisedLinear,
    fuse,
    quantise,
    quantise_model,
)
from gpu_worker.modeling.source import Quantisation

KINDS = list(Quantisation)
ERRORS = {Quantisation.INT8: 0.012, Quantisation.NF4: 0.12}


def random_weight(n_out: int = 96, n_in: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(n_out, n_in, generator=torch.Generator().manual_seed(seed)) * 0.05


def random_rows(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_in", [64, 96, 33])
def test_the_result_is_close_to_that_of_the_float_weight(kind: Quantisation, n_in: int) -> None:
    weight, rows = random_weight(n_in=n_in), random_rows(2, 5, n_in)
    result = quantise(weight, kind)(rows)
    assert result.shape == (2, 5, 96)
    assert relative_error(result, nn.functional.linear(rows, weight)) < ERRORS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_that_of_the_dequantised_weight(kind: Quantisation) -> None:
    quantised, rows = quantise(random_weight(), kind), random_rows(7, 64)
    assert relative_error(quantised(rows), nn.functional.linear(rows, quantised.dequantised())) < 2e-4


def test_an_activation_with_one_huge_number_loses_little() -> None:
    quantised, rows = quantise(random_weight(), Quantisation.INT8), random_rows(1, 64)
    rows[0, 3] = 300.0
    assert relative_error(quantised(rows), nn.functional.linear(rows, quantised.dequantised())) < 2e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_its_neighbours(kind: Quantisation) -> None:
    quantised, rows = quantise(random_weight(), kind), random_rows(4, 64)
    rows[1] *= 1000
    rows[2] = torch.nan
    rows[3, 0] = torch.inf
    together = quantised(rows)
    assert torch.allclose(together[:1], quantised(rows[:1]), rtol=1e-5, atol=1e-6)
    assert torch.isfinite(together[:2]).all()
    assert together[2].isnan().all()
    assert not together[3].isfinite().any()


def test_zeros_make_zeros() -> None:
    assert quantise(torch.zeros(8, 16), Quantisation.INT8)(random_rows(3, 16)).abs().max() == 0
    assert quantise(random_weight(8, 16), Quantisation.INT8)(torch.zeros(3, 16)).abs().max() == 0


def test_extreme_numbers_do_not_overflow_in_the_products() -> None:
    """Products of 8 and 8 bits, added in 16: what saturates on processors without VNNI."""
    weight, rows = torch.full((32, 512), 0.5), torch.ones(1, 512)
    assert torch.allclose(quantise(weight, Quantisation.INT8)(rows), torch.full((1, 32), 256.0), rtol=1e-4)
    assert torch.allclose(quantise(weight, Quantisation.INT8)(-rows), torch.full((1, 32), -256.0), rtol=1e-4)


def test_both_ways_to_compute_with_8_bits_agree() -> None:
    weight, rows = random_weight(), random_rows(3, 64)
    assert relative_error(PackedInt8Weight(weight)(rows), Int8Weight(weight)(rows)) < 2e-4


def test_bfloat16_goes_in_and_comes_out() -> None:
    weight, rows = random_weight(), random_rows(3, 64).bfloat16()
    for kind in KINDS:
        result = quantise(weight.bfloat16(), kind)(rows)
        assert result.dtype == torch.bfloat16
        assert relative_error(result.float(), nn.functional.linear(rows.float(), weight)) < 0.13


@pytest.mark.parametrize("kind", KINDS)
def test_fused_layers_compute_what_each_does(kind: Quantisation) -> None:
    floats = [nn.Linear(64, n, bias=has_bias) for n, has_bias in ((32, True), (16, False), (48, True))]
    layers = [QuantisedLinear.of(linear, kind) for linear in floats]
    rows = random_rows(3, 64)
    apart = torch.cat([layer(rows) for layer in layers], -1)
    fused = fuse(layers)
    assert relative_error(fused(rows), apart) < 1e-5
    assert relative_error(torch.cat([layer(rows) for layer in layers], -1), apart) < 1e-5
    assert all(layer.quantised is fused.quantised for layer in layers), "no second copy of the weights"


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantised_model_says_nearly_what_it_said(kind: Quantisation) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=256,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            initializer_range=0.1,
        )
        model: Any = LlamaForCausalLM(config)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        before = model(ids).logits.log_softmax(-1)
        quantise_model(model, kind)
        after = model(ids).logits.log_softmax(-1)
    assert type(model.lm_head) is (QuantisedLinear if kind is Quantisation.INT8 else nn.Linear)
    assert isinstance(model.model.layers[1].mlp.down_proj, QuantisedLinear)
    divergence = torch.nn.functional.kl_div(after, before, log_target=True, reduction="none").sum(-1).mean()
    assert 0 < divergence < (0.001 if kind is Quantisation.INT8 else 0.1)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.modeling.quantise.find_spec", lambda name: None)
    with pytest.raises(QuantisationMissing, match="bitsandbytes"):
        quantise(random_weight(), Quantisation.NF4)
