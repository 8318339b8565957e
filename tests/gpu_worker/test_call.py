"""Bodies of every shape: a call is parsed whole, or refused with a 400 that names the field."""

import contextlib
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.engine.request import SamplingParams, choice_seed
from gpu_worker.engine.sampling import score
from gpu_worker.errors import WorkerError
from gpu_worker.server.completions import parse_completion
from gpu_worker.server.schema import parse_chat

NUMBERS = st.integers() | st.floats() | st.booleans() | st.integers(-1, 200)
ANYTHING = st.recursive(
    st.none() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SHARED = [
    "model",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "stop",
    "stop_token_ids",
    "min_tokens",
    "priority",
    "ignore_eos",
    "logprobs",
    "top_logprobs",
    "stream",
    "stream_options",
    "echo",
    "suffix",
    "prompt",
    "prompt_logprobs",
    "use_beam_search",
    "generation_id",
]


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(SHARED), ANYTHING, max_size=5))
@pytest.mark.parametrize(
    ("parse", "needed"),
    [
        (parse_chat, {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        (parse_completion, {"model": "m", "prompt": "x"}),
    ],
)
def test_whatever_the_fields_hold_a_call_is_made_or_refused_by_name(
    parse: Any, needed: dict[str, Any], body: dict[str, Any]
) -> None:
    with contextlib.suppress(WorkerError):
        call = parse(needed | body)
        params = call.params(100, {})
        assert isinstance(params, SamplingParams)
        assert 1 <= call.n <= 128
        return
    with pytest.raises(WorkerError) as caught:
        parse(needed | body).params(100, {})
    assert caught.value.http_status == 400
    assert caught.value.param is not None
    assert caught.value.param.split(".")[0].split("[")[0] in SHARED


def test_the_seeds_of_choices_differ_are_valid_and_begin_with_the_seed_itself() -> None:
    seeds = [choice_seed(seed, i) for seed in (-(2**63), -1, 0, 1, 2**63 - 1) for i in range(128)]
    assert len(set(seeds)) == len(seeds)
    assert seeds[::128] == [-(2**63), -1, 0, 1, 2**63 - 1]
    for seed in seeds:
        SamplingParams(max_tokens=1, seed=seed)
    assert choice_seed(None, 5) is None


def test_no_tokens_have_no_log_probabilities() -> None:
    assert score(torch.zeros(0, 10), [], 3) == []
