"""From logits to tokens: checked against transformers' own processors, which are slow and separate."""

import math
from dataclasses import replace
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

from gpu_worker.engine import drawing, sampling
from gpu_worker.engine.request import SamplingParams
from gpu_worker.engine.sampling import BROKEN, RowSampler
from gpu_worker.errors import WorkerError

CPU = torch.device("cpu")


def row(prompt: list[int] | None = None, **options: Any) -> RowSampler:
    return RowSampler(SamplingParams(max_tokens=8, **options), prompt or [0])


def sample(logits: torch.Tensor, rows: list[RowSampler]) -> list[int]:
    return sampling.sample(logits, rows).tokens


def adjusted_logits(logits: torch.Tensor, sampler: RowSampler) -> torch.Tensor:
    """What a greedy row makes of `[V]` logits before it chooses."""
    changed = logits[None].clone()
    sampling.sample(changed, [sampler])
    return changed[0]


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
            patch.setattr(drawing, "WIDTHS", (5000,))
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
    adjusted = adjusted_logits(second, sampler)
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([[*prompt, chosen]]), second[None].clone())[0]
    assert torch.allclose(adjusted, expected)


def test_presence_and_frequency_count_only_the_output() -> None:
    sampler = row([5], presence_penalty=0.5, frequency_penalty=0.25, temperature=0)
    for _ in range(3):
        sample(torch.tensor([[0.0, 9.0, 0.0, 0, 0, 0]]), [sampler])
    assert adjusted_logits(torch.zeros(6), sampler).tolist() == [0, -0.5 - 3 * 0.25, 0, 0, 0, 0]


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


OPTIONS = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0, 0.4, 1, 2]),
        "top_k": st.sampled_from([0, 0, 3, 60, 300]),
        "top_p": st.sampled_from([1.0, 1.0, 0.5, 0.95]),
        "min_p": st.sampled_from([0.0, 0.0, 0.1]),
        "repetition_penalty": st.sampled_from([1.0, 1.3]),
        "presence_penalty": st.sampled_from([0.0, 0.7]),
        "frequency_penalty": st.sampled_from([0.0, -0.3]),
        "logit_bias": st.sampled_from([(), ((3, 2.5), (7, -100.0))]),
        "min_tokens": st.sampled_from([0, 2]),
        "logprobs": st.sampled_from([None, 0, 2]),
        "seed": st.integers(0, 1000),
    }
)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(OPTIONS, st.integers(0, 4), st.integers(2, 6)), min_size=2, max_size=6), st.integers(0, 99))
@pytest.mark.parametrize("n_vocabulary", [700, 9000])
def test_a_row_gets_the_same_alone_and_among_others_that_come_and_go(
    n_vocabulary: int, rows: list[tuple[dict[str, Any], int, int]], seed: int
) -> None:
    def logits(row: int, step: int) -> torch.Tensor:
        # In steps of 1/8, as in half precision: many tokens are equally likely.
        generator = torch.Generator().manual_seed(seed * 10_000 + row * 100 + step)
        return (torch.randn(n_vocabulary, generator=generator) * 20).round() / 8

    def new_sampler(row: int) -> RowSampler:
        return RowSampler(SamplingParams(max_tokens=50, **rows[row][0]), [row, 5, 9, 9], frozenset({1, 2}))

    crowd = sampling.Sampler()
    samplers = [new_sampler(row) for row in range(len(rows))]
    together: list[list[Any]] = [[] for _ in rows]
    for step in range(max(joins + stays for _, joins, stays in rows)):
        there = [row for row, (_, joins, stays) in enumerate(rows) if joins <= step < joins + stays]
        if not there:
            continue
        batch = torch.stack([logits(row, step) for row in there])
        sampled = crowd.sample(batch, [samplers[row] for row in there])
        for place, row in enumerate(there):
            together[row].append((sampled.tokens[place], sampled.logprobs[place]))
    for row, (_, joins, stays) in enumerate(rows):
        alone = new_sampler(row)
        for (token, logprobs), step in zip(together[row], range(joins, joins + stays), strict=True):
            expected = sampling.sample(logits(row, step)[None], [alone])
            assert token == expected.tokens[0]
            own = expected.logprobs[0]
            assert (logprobs is None) == (own is None)
            if logprobs is not None and own is not None:
                assert (logprobs.token_id, len(logprobs.top)) == (own.token_id, len(own.top))
                assert logprobs.logprob == pytest.approx(own.logprob, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    prompt=st.lists(st.integers(0, 29), min_size=1, max_size=10),
    penalties=st.tuples(st.floats(0.5, 2), st.floats(-2, 2), st.floats(-2, 2)),
    seed=st.integers(0, 1000),
)
def test_penalties_are_their_formulas_over_many_steps(
    prompt: list[int], penalties: tuple[float, float, float], seed: int
) -> None:
    repetition, presence, frequency = penalties
    options = {"repetition_penalty": repetition, "presence_penalty": presence, "frequency_penalty": frequency}
    sampler, other = row(prompt, temperature=0, **options), row([1], presence_penalty=2)
    generator = torch.Generator().manual_seed(seed)
    crowd, said = sampling.Sampler(), list[int]()
    for _ in range(12):
        logits = torch.randn(2, 30, generator=generator) * 2
        expected = RepetitionPenaltyLogitsProcessor(repetition)(torch.tensor([[*prompt, *said]]), logits[1:].clone())[0]
        counts = torch.bincount(torch.tensor(said, dtype=torch.long), minlength=30)
        expected = expected - frequency * counts - presence * (counts > 0)
        said.append(crowd.sample(logits, [other, sampler]).tokens[1])
        assert torch.allclose(logits[1], expected, atol=1e-5)
        assert said[-1] == int(logits[1].argmax())


def test_more_seen_tokens_than_there_was_room_for_are_all_penalised() -> None:
    sampler, crowd = row([0], presence_penalty=2, temperature=0), sampling.Sampler()
    for expected in range(600):
        logits = torch.zeros(1, 700)
        logits[0, : expected + 1] = 1.0
        logits[0, expected] = 1.5
        assert crowd.sample(logits, [sampler]).tokens == [expected]
        assert logits[0, :expected].tolist() == [-1.0] * expected


def test_end_tokens_and_stop_tokens_are_impossible_before_min_tokens_and_only_then() -> None:
    params = SamplingParams(max_tokens=9, temperature=0, min_tokens=3, stop_token_ids=(4,))
    sampler, crowd = RowSampler(params, [0], frozenset({1, 2})), sampling.Sampler()
    tokens = []
    for _ in range(5):
        logits = torch.tensor([[0.0, 9, 8, 1, 7, 0]])
        tokens += crowd.sample(logits, [sampler]).tokens
    assert tokens == [3, 3, 3, 1, 1]


@pytest.mark.parametrize("n_vocabulary", [50, 9000])
@pytest.mark.parametrize("number", [0.0, 1 - 2**-60, 0.99999999])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.99}])
def test_no_number_draws_a_token_that_is_impossible(n_vocabulary: int, number: float, options: dict[str, Any]) -> None:
    logits = torch.full((n_vocabulary,), -math.inf)
    possible = {7, 30, n_vocabulary - 5}
    logits[list(possible)] = torch.tensor([0.0, -3.0, 1.0])
    assert drawn_at(logits, number, **options) in possible


@pytest.mark.parametrize(("top_k", "top_p", "min_p"), [(60, 0.95, 0), (60, 1, 0), (0, 0.95, 0), (0, 1, 0.02)])
def test_how_many_candidates_are_looked_at_for_others_changes_nothing(top_k: int, top_p: float, min_p: float) -> None:
    """As many as the greediest row of the batch wants. Many tokens are as likely as the last of a row's top_k."""
    n_rows, n_vocabulary = 400, 9000
    random = torch.Generator().manual_seed(1)
    logits = (torch.randn(n_rows, n_vocabulary, generator=random) * 20).round() / 8
    temperature, numbers = torch.ones(n_rows, 1), torch.rand(n_rows, 1, generator=random)
    cuts = drawing.cuts_of([(top_k, top_p, min_p)] * n_rows, n_vocabulary, logits.device)
    first, *others = (
        drawing.draw_cut(logits.clone(), temperature, numbers, replace(cuts, width=width)).tolist()
        for width in (cuts.width, 256, 508, 4096, 8192, n_vocabulary)
    )
    assert others == [first] * 5


def test_log_probabilities_over_a_large_vocabulary_are_the_same_alone_and_among_others() -> None:
    logits = torch.randn(8, 128_000, generator=torch.Generator().manual_seed(5)) * 5
    assert [sampling.score(one[None], [0], 2)[0] for one in logits] == sampling.score(logits, [0] * 8, 2)


def test_a_draw_from_a_large_vocabulary_is_the_inverse_of_its_distribution() -> None:
    logits = torch.randn(40_000, generator=torch.Generator().manual_seed(4)) * 2
    cumulated = logits.double().softmax(-1).cumsum(-1)
    for number in (i / 101 for i in range(1, 101)):
        token = drawn_at(logits, number)
        before = float(cumulated[token - 1]) if token else 0.0
        assert before - 1e-6 <= number <= float(cumulated[token]) + 1e-6


def test_tokens_as_likely_as_the_last_that_is_kept_are_kept_too() -> None:
    logits = torch.tensor([2.0, 1, 1, 1, 0, 0])
    for options in ({"top_k": 2}, {"top_p": 0.5}, {"top_k": 3, "top_p": 0.6}):
        assert {drawn_at(logits, i / 50, **options) for i in range(50)} == {0, 1, 2, 3}


def test_log_probabilities_come_from_before_everything_and_are_never_infinite() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf, 0.5]])
    expected = logits.log_softmax(-1)[0]
    sampler = row(temperature=0, logit_bias=((0, 100.0),), repetition_penalty=2, logprobs=4)
    [report] = sampling.sample(logits.clone(), [sampler]).logprobs
    assert report is not None
    assert report.token_id == 0
    assert report.logprob == pytest.approx(float(expected[0]))
    assert [token for token, _ in report.top] == [1, 3, 0, 2]
    assert report.top[-1][1] == -9999.0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}, {"top_k": 2}, {"repetition_penalty": 1.2}, {"logprobs": 2}])
def test_a_broken_row_changes_nothing_for_rows_that_draw(broken: float, options: dict[str, Any]) -> None:
    logits = torch.randn(3, 600, generator=torch.Generator().manual_seed(5))
    alone = [sample(logits[i : i + 1].clone(), [row(seed=i, **options)])[0] for i in range(3)]
    poisoned = logits.clone()
    poisoned[1, 17] = broken
    found = sampling.sample(poisoned, [row(seed=i, **options) for i in range(3)])
    assert found.tokens == [alone[0], BROKEN, alone[2]]
    assert found.logprobs[1] is None
