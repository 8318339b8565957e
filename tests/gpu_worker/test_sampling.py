"""From logits to tokens: checked against transformers' own processors, which are slow and separate."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from gpu_worker.engine import sampling
from gpu_worker.engine.request import SamplingParams
from gpu_worker.engine.sampling import BROKEN, RowSampler
from gpu_worker.errors import WorkerError

CPU = torch.device("cpu")


def row(prompt: list[int] | None = None, **options: Any) -> RowSampler:
    return RowSampler(SamplingParams(max_tokens=8, **options), prompt or [0], CPU)


def sample(logits: torch.Tensor, rows: list[RowSampler]) -> list[int]:
    return sampling.sample(logits, rows).tokens


class Fixed:
    """Stands in for `random.Random`: always the same number."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        return self._number


def drawn_at(logits: torch.Tensor, number: float, **options: Any) -> int:
    sampler = row(**options)
    sampler.random = Fixed(number)  # type: ignore[assignment]
    return sample(logits[None].clone(), [sampler])[0]


def reference(logits: torch.Tensor, options: dict[str, float]) -> torch.Tensor:
    """Probabilities as transformers' own warpers give them."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(options["temperature"]))])
    if options.get("top_k"):
        warpers.append(TopKLogitsWarper(int(options["top_k"])))
    if "top_p" in options:
        warpers.append(TopPLogitsWarper(options["top_p"]))
    if "min_p" in options:
        warpers.append(MinPLogitsWarper(options["min_p"]))
    no_ids: Any = torch.zeros((1, 1), dtype=torch.long)
    warped: torch.Tensor = warpers(no_ids, logits[None].clone())
    return warped.softmax(-1)[0]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.3, 0.7, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 3, 10, 50]),
    top_p=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_shares_are_those_of_transformers(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    logits = torch.randn(40, generator=torch.Generator().manual_seed(seed)) * 3
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    n = 200
    numbers = [(i + 0.5) / n for i in range(n)]
    rows = [row(**options) for _ in numbers]
    for one, number in zip(rows, numbers, strict=True):
        one.random = Fixed(number)  # type: ignore[assignment]
    tokens = sample(logits.repeat(n, 1), rows)
    expected = reference(logits, options)
    shares = torch.bincount(torch.tensor(tokens), minlength=40) / n
    assert torch.allclose(shares, expected, atol=1.5 / n)


def test_top_p_over_a_large_vocabulary_is_the_same_as_over_all_of_it_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    peaked = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * 4
    flat = torch.randn(5000, generator=torch.Generator().manual_seed(2)) * 0.1
    for logits in (peaked, flat):
        quick = [drawn_at(logits, i / 50, top_p=0.9) for i in range(50)]
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "SORT_FIRST", 100_000)
            assert quick == [drawn_at(logits, i / 50, top_p=0.9) for i in range(50)]


def test_temperature_zero_takes_the_best_and_a_tiny_one_does_not_overflow() -> None:
    logits = torch.tensor([1.0, 5000.0, 2.0])
    assert sample(logits[None].clone(), [row(temperature=0)]) == [1]
    assert drawn_at(logits, 0.999, temperature=1e-6) == 1


def test_what_a_seed_gives_does_not_depend_on_the_rest_of_the_batch() -> None:
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(3))
    alone = row(seed=7, top_p=0.9)
    expected = [sample(logits[2:3].clone(), [alone])[0] for _ in range(10)]
    others = [row(seed=i, temperature=i / 5, top_k=i) for i in range(6)]
    others[2] = row(seed=7, top_p=0.9)
    assert [sample(logits.clone(), others)[2] for _ in range(10)] == expected


def test_two_seeds_differ() -> None:
    logits = torch.zeros(1, 1000)
    first, second = ([sample(logits.clone(), [one])[0] for _ in range(5)] for one in (row(seed=1), row(seed=2)))
    assert first != second


def test_repetition_penalty_is_that_of_transformers_over_prompt_and_output() -> None:
    prompt = [3, 4, 4]
    sampler = row(prompt, repetition_penalty=1.7, temperature=0)
    torch.manual_seed(0)
    first = torch.randn(20)
    chosen = sample(first[None].clone(), [sampler])[0]
    second = torch.randn(20)
    adjusted = second.clone()
    sampler.adjust(adjusted)
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([[*prompt, chosen]]), second[None].clone())[0]
    assert torch.allclose(adjusted, expected)


def test_presence_and_frequency_count_only_the_output() -> None:
    sampler = row([5], presence_penalty=0.5, frequency_penalty=0.25, temperature=0)
    for _ in range(3):
        sample(torch.tensor([[0.0, 9.0, 0.0, 0, 0, 0]]), [sampler])
    logits = torch.zeros(6)
    sampler.adjust(logits)
    assert logits.tolist() == [0, -0.5 - 3 * 0.25, 0, 0, 0, 0]


def test_a_bias_can_force_and_forbid() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    assert sample(logits.clone(), [row(temperature=0, logit_bias=((2, 100.0),))]) == [2]
    assert sample(logits.clone(), [row(temperature=0, logit_bias=((1, -100.0),))]) == [2]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_row_that_is_not_finite_is_named_and_harms_no_other(broken: float) -> None:
    logits = torch.zeros(3, 10)
    logits[:, 4] = 9
    logits[1, 2] = broken
    assert sample(logits, [row(temperature=0), row(temperature=0), row(top_k=1)]) == [4, BROKEN, 4]


def test_a_row_that_allows_no_token_is_named() -> None:
    assert sample(torch.full((1, 10), -math.inf), [row()]) == [BROKEN]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -2),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -math.inf),
        ("logit_bias", ((1, 101.0),)),
        ("stop", tuple("abcdefghijklmnopqrstu")),
        ("stop", ("",)),
        ("max_tokens", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(WorkerError) as caught:
        SamplingParams(**{"max_tokens": 1, name: value})  # type: ignore[arg-type]
    assert caught.value.param == name
    assert caught.value.http_status == 400
