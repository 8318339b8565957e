"""A weight times tokens: every way gives the same numbers, and the faster one for a single row is found."""

import pytest
import torch
from torch.nn import functional

from gpu_worker.engine import products
from gpu_worker.engine.products import Linear, choose_for_one_row

torch.manual_seed(11)
WEIGHT, BIAS = torch.randn(1024, 640), torch.randn(1024)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("packs_one_row", [True, False])
@pytest.mark.parametrize("bias", [BIAS, None])
@pytest.mark.parametrize("n_rows", [1, 2, 33])
def test_every_way_computes_the_same(packs: bool, packs_one_row: bool, bias: torch.Tensor | None, n_rows: int) -> None:
    linear = Linear(WEIGHT, bias, packs=packs)
    assert linear.is_packed == packs
    linear.packs_one_row = packs_one_row
    x = torch.randn(n_rows, 640)
    torch.testing.assert_close(linear(x), functional.linear(x, WEIGHT, bias), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("is_faster", [True, False])
def test_a_single_row_goes_the_way_that_is_faster_here(is_faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, small = Linear(WEIGHT, None, packs=True), Linear(WEIGHT[:8], None, packs=True)
    assert not small.is_packed
    monkeypatch.setattr(products, "_time", lambda work: 1.0 if packed.packs_one_row == is_faster else 2.0)
    choose_for_one_row([packed, small])
    assert packed.packs_one_row == is_faster


def test_only_so_many_weights_are_raced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "RACED_BYTES", 1)
    raced: list[int] = []
    linears = [Linear(WEIGHT[:n], None, packs=True) for n in (900, 1024)]

    def counted(self: Linear, x: torch.Tensor) -> torch.Tensor:
        raced.append(len(self.weight))
        return x

    monkeypatch.setattr(Linear, "__call__", counted)
    choose_for_one_row(linears)
    assert set(raced) == {1024}, "the largest"
    assert len({linear.packs_one_row for linear in linears}) == 1, "what is found holds for all"
