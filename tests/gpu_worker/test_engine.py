"""The engine over a real model: what it computes together is what each request computes alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_worker.engine.lean import LeanRunner
from gpu_worker.engine.request import Request, SamplingParams, StepOutput
from gpu_worker.engine.runner import GenericRunner
from gpu_worker.engine.scheduler import Chunk, Limits
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.loading import LoadedModel
from gpu_worker.protocol import FinishReason, WorkerErrorCode
from tests.gpu_worker.engine_bench import ROOMY, Bench, load, prompts_of


@pytest.fixture(scope="module", params=["lean", "generic"])
def loaded(tiny: Path, request: pytest.FixtureRequest) -> LoadedModel:
    loaded = load(tiny)
    assert isinstance(loaded.runner, LeanRunner)
    return loaded if request.param == "lean" else replace(loaded, runner=GenericRunner(loaded.model))


@pytest.fixture
def bench(loaded: LoadedModel) -> Iterator[Bench]:
    bench = Bench(loaded)
    bench.engine.start()
    yield bench
    assert bench.engine.close(10)


def generated_alone(loaded: LoadedModel, prompt: list[int], max_tokens: int) -> list[int]:
    """transformers' own greedy decoding."""
    ids = torch.tensor([prompt])
    output = loaded.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False, pad_token_id=0
    )
    tokens: list[int] = output[0, len(prompt) :].tolist()
    return tokens


def test_greedy_decoding_in_a_mixed_batch_equals_generate_for_each_prompt_alone(
    loaded: LoadedModel, bench: Bench
) -> None:
    # More prompts than the batch holds, some longer than a prefill chunk and a block of the cache: they join and
    # leave at different steps, and rows move.
    prompts = prompts_of((5, 300, 17, 64, 33, 8, 120, 1, 2, 90, 200))
    requests = [bench.submit(str(i), prompt, max_tokens=64 + 5 * i) for i, prompt in enumerate(prompts)]
    for request in requests:
        last = bench.last(request.id)
        expected = generated_alone(loaded, request.prompt_ids, request.params.max_tokens)
        assert request.output_ids == expected
        assert bench.text(request.id) == loaded.decode(expected)
        assert (last.finish_reason, last.n_tokens) == (FinishReason.LENGTH, len(expected))
    assert max(bench.batches) == 8


def test_requests_that_outgrow_the_memory_give_way_and_lose_nothing(loaded: LoadedModel) -> None:
    runner = loaded.runner
    # Room for all prompts, but not for all answers.
    limits = Limits(max_batch=8, max_waiting=100, cache_tokens=runner.footprint([300]) * 2, prefill_tokens=64)
    bench = Bench(loaded, limits)
    prompts = prompts_of((60, 70, 50, 64, 90))
    greedy = [bench.submit(f"g{i}", prompt, max_tokens=190) for i, prompt in enumerate(prompts)]
    seeded = [bench.submit(f"s{i}", prompts[0], max_tokens=150, temperature=1, seed=5) for i in range(2)]
    bench.engine.start()
    for request in greedy:
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        expected = generated_alone(loaded, request.prompt_ids, 190)
        assert request.output_ids == expected
        assert bench.text(request.id) == loaded.decode(expected), "shown once, however often it was computed"
    for request in seeded:
        assert bench.last(request.id).n_tokens == 150
    assert seeded[0].output_ids == seeded[1].output_ids
    assert bench.most_held <= limits.cache_tokens
    n_needed = sum(len(request.prompt_ids) for request in [*greedy, *seeded])
    assert bench.n_prompt_tokens > n_needed, "nothing was computed again: the test needs less memory"
    assert {bench.last(request.id).n_cached for request in greedy} == {0}, "what was computed again was computed"
    assert bench.engine.close(10)


def test_what_was_computed_before_is_not_computed_again(loaded: LoadedModel, bench: Bench) -> None:
    first = bench.submit("first turn", prompts_of([200])[0], max_tokens=60)
    bench.last("first turn")
    assert bench.n_prompt_tokens == 200
    prompt = [*first.prompt_ids, *first.output_ids, 5, 6, 7, 8]
    second = bench.submit("second turn", prompt, max_tokens=40)
    bench.last("second turn")
    # 259 tokens have keys and values: four whole blocks of 64.
    assert bench.n_prompt_tokens == 200 + len(prompt) - 256
    assert second.output_ids == generated_alone(loaded, prompt, 40)
    bench.submit("other", [9, *prompt[1:]], max_tokens=1)
    bench.last("other")
    assert bench.n_prompt_tokens == 200 + len(prompt) - 256 + len(prompt)
    assert [bench.last(name).n_cached for name in ("first turn", "second turn", "other")] == [0, 256, 0]


def test_a_prompt_is_computed_once_for_all_that_ask_it_together(loaded: LoadedModel, bench: Bench) -> None:
    prompt = prompts_of([300])[0]
    params = [SamplingParams(max_tokens=40, temperature=1, seed=seed) for seed in range(5)]
    together = [Request(f"together {i}", prompt, one, 0.0) for i, one in enumerate(params)]
    bench.engine.submit(*together)
    n_cached = [bench.last(request.id).n_cached for request in together]
    assert n_cached == [0, 299, 299, 299, 299]
    assert bench.n_prompt_tokens == 300 + 4
    for request in together:
        alone = Bench(loaded, runner=GenericRunner(loaded.model))
        alone.engine.start()
        apart = alone.submit("alone", prompt, max_tokens=40, temperature=1, seed=request.params.seed)
        assert alone.last("alone").n_cached == 0
        assert request.output_ids == apart.output_ids
        assert alone.engine.close(10)


def test_when_the_one_that_computes_a_prompt_is_cancelled_the_others_get_it_all_the_same(
    loaded: LoadedModel, bench: Bench
) -> None:
    prompt = prompts_of([400])[0]
    names = ("first", "second", "third")
    together = [Request(name, prompt, SamplingParams(max_tokens=30, temperature=0), 0.0) for name in names]

    def between_steps(output: StepOutput) -> None:
        if output.request_id == "clock" and output.n_tokens == 1:
            bench.engine.submit(*together)
        if output.request_id == "clock" and output.n_tokens == 4:
            bench.engine.cancel("first")

    bench.on_output = between_steps
    bench.submit("clock", [5], max_tokens=400)
    assert (bench.last("first").finish_reason, bench.last("first").n_tokens) == (FinishReason.CANCELLED, 0)
    expected = generated_alone(loaded, prompt, 30)
    for request in together[1:]:
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        assert request.output_ids == expected
    assert [bench.last(name).n_cached for name in names] == [0, 0, 399]


def test_a_request_that_fails_harms_none_with_the_same_prompt(tiny: Path) -> None:
    loaded = load(tiny)
    poison = 499
    with torch.no_grad():
        loaded.model.model.embed_tokens.weight[poison] = torch.nan
    bench = Bench(loaded)
    prompt = [token for token in prompts_of([150])[0] if token != poison]
    never = SamplingParams(max_tokens=50, temperature=0, logit_bias=((poison, -100.0),))
    always = SamplingParams(max_tokens=50, temperature=0, logit_bias=((poison, 100.0),))
    # The first gives its prompt to the others, and breaks in the same step.
    fails, *others = [Request(str(i), prompt, params, 0.0) for i, params in enumerate((always, never, always, never))]
    bench.engine.submit(fails, *others)
    bench.engine.start()
    expected = generated_alone(loaded, prompt, 50)
    assert poison not in expected
    for request in (fails, others[1]):
        assert bench.last(request.id).error is not None
    for request in (others[0], others[2]):
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        assert request.output_ids == expected
    assert bench.engine.close(10)


def test_the_end_token_ends_it_is_counted_and_is_not_shown(loaded: LoadedModel) -> None:
    prompt = prompts_of([40])[0]
    free = generated_alone(loaded, prompt, 60)
    end = free[30]
    expected = free[: free.index(end) + 1]
    bench = Bench(loaded, end_ids=frozenset({end}))
    bench.engine.start()
    request = bench.submit("ends", prompt, max_tokens=60)
    goes_on = bench.submit("goes on", prompt, max_tokens=60, ignore_eos=True)
    assert (bench.last("ends").finish_reason, bench.last("ends").n_tokens) == (FinishReason.STOP, len(expected))
    assert request.output_ids == expected
    assert bench.text("ends") == loaded.decode(expected[:-1])
    assert bench.last("goes on").finish_reason is FinishReason.LENGTH
    assert goes_on.output_ids == free
    assert bench.engine.close(10)


def test_a_stop_string_ends_the_text_before_it(loaded: LoadedModel, bench: Bench) -> None:
    prompt = prompts_of([40])[0]
    whole = loaded.decode(generated_alone(loaded, prompt, 60))
    stop = whole[20:26]
    request = bench.submit("r", prompt, max_tokens=60, stop=(stop,))
    assert bench.last("r").finish_reason is FinishReason.STOP
    assert bench.text("r") == whole[: whole.index(stop)]
    assert stop in loaded.decode(request.output_ids)
    assert stop not in loaded.decode(request.output_ids[:-1])


def test_a_cancelled_request_computes_no_further_token(bench: Bench) -> None:
    bench.on_output = lambda output: bench.engine.cancel("r") if output.n_tokens == 5 else None
    request = bench.submit("r", [5, 6, 7], max_tokens=400)
    assert bench.last("r").finish_reason is FinishReason.CANCELLED
    assert bench.last("r").n_tokens == len(request.output_ids) == 5


def test_requests_that_are_cancelled_together_compute_no_further_token(bench: Bench) -> None:
    names = [str(i) for i in range(6)]
    n_seen = 0

    def cancel_all(output: StepOutput) -> None:
        # From the engine's own thread, between two steps: whatever came later would be a step too many.
        nonlocal n_seen
        n_seen += 1
        if output.request_id == "3" and output.n_tokens == 7:
            bench.engine.cancel(*names, "unknown")

    bench.on_output = cancel_all
    # Not the same prompt for all: those that take it over are a step behind the one that computes it.
    requests = [Request(name, [5, 6, int(name)], SamplingParams(max_tokens=400), 0.0) for name in names]
    bench.engine.submit(*requests)
    for request in requests:
        assert bench.last(request.id).finish_reason is FinishReason.CANCELLED
    assert bench.batches[-1] == 0, "a step computed something after all were cancelled"
    assert {len(request.output_ids) for request in requests} == {7}
    assert n_seen == 6 * 7 + 6


def test_a_waiting_request_can_be_cancelled(loaded: LoadedModel) -> None:
    bench = Bench(loaded, Limits(max_batch=1, max_waiting=5, cache_tokens=10_000, prefill_tokens=64))
    bench.submit("running", [5], max_tokens=400)
    bench.submit("waiting", [5], max_tokens=400)
    bench.engine.cancel("waiting")
    bench.engine.start()
    assert bench.last("waiting") == StepOutput("waiting", "", 0, FinishReason.CANCELLED)
    bench.engine.cancel("running")
    assert bench.last("running").finish_reason is FinishReason.CANCELLED
    assert bench.engine.n_requests == 0
    assert bench.engine.close(10)


def test_a_seeded_answer_is_the_same_alone_and_in_a_crowd(bench: Bench) -> None:
    alone = bench.submit("alone", [5, 6, 7], max_tokens=50, temperature=1, seed=11)
    bench.last("alone")
    crowd = [bench.submit(str(i), p, max_tokens=90, temperature=1) for i, p in enumerate(prompts_of((30, 9, 50)))]
    again = bench.submit("again", [5, 6, 7], max_tokens=50, temperature=1, seed=11)
    bench.last("again")
    assert again.output_ids == alone.output_ids
    assert all(bench.last(one.id).finish_reason is FinishReason.LENGTH for one in crowd)


def test_a_full_queue_refuses_and_serves_on(loaded: LoadedModel) -> None:
    bench = Bench(loaded, Limits(max_batch=1, max_waiting=1, cache_tokens=10_000, prefill_tokens=64))
    for name in ("a", "b"):
        bench.submit(name, [5], max_tokens=3)
    with pytest.raises(WorkerError) as caught:
        bench.submit("c", [5], max_tokens=3)
    assert caught.value.code is WorkerErrorCode.OVERLOADED
    bench.engine.start()
    assert bench.last("b").finish_reason is FinishReason.LENGTH
    assert bench.engine.close(10)


def test_numbers_that_are_not_finite_end_one_request_and_leave_no_trace(tiny: Path) -> None:
    loaded = load(tiny)
    poison = 499
    with torch.no_grad():
        loaded.model.model.embed_tokens.weight[poison] = torch.nan
    bench = Bench(loaded)
    prompts = [[token for token in prompt if token != poison] for prompt in prompts_of((12, 200))]
    healthy = [bench.submit(f"healthy {i}", prompt, max_tokens=200) for i, prompt in enumerate(prompts)]
    heirs: list[Request] = []
    # At once, while the others still run: the heir gets the poisoned row, and they make it read beyond its own length.
    bench.on_output = lambda output: (
        heirs.append(bench.submit("heir", [5], max_tokens=60)) if output.error is not None else None
    )
    bench.submit("poisoned", [5, poison, 8], max_tokens=60)
    bench.engine.start()
    error = bench.last("poisoned").error
    assert error is not None
    assert error.code is WorkerErrorCode.INTERNAL
    for request in [*healthy, *heirs]:
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        assert request.output_ids == generated_alone(loaded, request.prompt_ids, request.params.max_tokens)
    assert len(heirs) == 1
    assert bench.engine.close(10)


class FailingRunner(GenericRunner):
    """Fails in every step in which a request that begins with the token 499 decodes."""

    def __init__(self, model: Any, error: Exception) -> None:
        super().__init__(model)
        self.error = error

    def compute(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, torch.Tensor]]:
        computed = super().compute(chunks)
        if any(chunk.request.prompt_ids[0] == 499 and chunk.request.output_ids for chunk in chunks):
            raise self.error
        return computed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), WorkerErrorCode.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), WorkerErrorCode.OUT_OF_MEMORY),
        (ValueError("something else"), WorkerErrorCode.INTERNAL),
    ],
)
def test_a_step_that_fails_ends_only_the_request_that_fails_alone(
    loaded: LoadedModel, error: Exception, code: WorkerErrorCode
) -> None:
    bench = Bench(loaded, ROOMY, FailingRunner(loaded.model, error))
    bench.submit("fails", [499, 6], max_tokens=50)
    beside = [bench.submit(str(i), prompt, max_tokens=30) for i, prompt in enumerate(prompts_of((20, 7)))]
    bench.engine.start()
    failure = bench.last("fails").error
    assert failure is not None
    assert failure.code is code
    after = bench.submit("after", [5, 6], max_tokens=20)
    for request in [*beside, after]:
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        expected = generated_alone(loaded, request.prompt_ids, request.params.max_tokens)
        assert request.output_ids == expected
    assert bench.engine.close(10)


def test_closing_ends_what_is_left_with_an_error_and_refuses_more(loaded: LoadedModel) -> None:
    bench = Bench(loaded, Limits(max_batch=1, max_waiting=5, cache_tokens=10_000, prefill_tokens=64))
    for name in ("running", "waiting"):
        bench.submit(name, [5], max_tokens=5000)
    bench.engine.start()
    bench.wait(lambda: "running" in bench.outputs)
    assert bench.engine.close(10)
    for name in ("running", "waiting"):
        error = bench.outputs[name][-1].error
        assert error is not None
        assert error.code is WorkerErrorCode.SHUTTING_DOWN
    with pytest.raises(WorkerError, match="shutting down"):
        bench.submit("late", [5], max_tokens=1)


def reference_logprobs(loaded: LoadedModel, tokens: Sequence[int]) -> torch.Tensor:
    """Of every token but the first, from one forward pass of transformers."""
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(input_ids=torch.tensor([list(tokens)])).logits[0, :-1]
    return logits.log_softmax(-1)


def test_the_prompts_log_probabilities_are_those_of_one_forward_pass(loaded: LoadedModel, bench: Bench) -> None:
    # Longer than what is scored in one step, next to others that prefill and decode.
    prompt, *others = prompts_of((400, 90, 12))
    for i, other in enumerate(others):
        bench.submit(str(i), other, max_tokens=20)
    bench.submit("scored", prompt, max_tokens=0, prompt_logprobs=3)
    last = bench.last("scored")
    assert (last.finish_reason, last.n_tokens, last.text) == (FinishReason.LENGTH, 0, "")
    assert last.prompt_logprobs is not None
    expected = reference_logprobs(loaded, prompt)
    own = expected.gather(-1, torch.tensor(prompt[1:])[:, None])[:, 0]
    assert [entry.token_id for entry in last.prompt_logprobs] == prompt[1:]
    assert torch.tensor([e.logprob for e in last.prompt_logprobs]).allclose(own, atol=1e-4)
    best, ids = expected.topk(3)
    assert [[token for token, _ in e.top] for e in last.prompt_logprobs] == ids.tolist()
    assert torch.tensor([[p for _, p in e.top] for e in last.prompt_logprobs]).allclose(best, atol=1e-4)


def test_each_tokens_log_probability_is_the_models_own_and_comes_once(loaded: LoadedModel, bench: Bench) -> None:
    prompt = prompts_of([40])[0]
    options = {"temperature": 1.5, "seed": 3, "presence_penalty": 1, "logit_bias": ((7, 3.0),)}
    request = bench.submit("r", prompt, max_tokens=40, logprobs=2, prompt_logprobs=0, **options)
    bench.last("r")
    entries = [entry for output in bench.outputs["r"] for entry in output.logprobs]
    assert [entry.token_id for entry in entries] == request.output_ids
    expected = reference_logprobs(loaded, [*prompt, *request.output_ids])[len(prompt) - 1 :]
    own = expected.gather(-1, torch.tensor(request.output_ids)[:, None])[:, 0]
    assert torch.tensor([entry.logprob for entry in entries]).allclose(own, atol=1e-4)
    scored = [output.prompt_logprobs for output in bench.outputs["r"] if output.prompt_logprobs is not None]
    assert [[entry.token_id for entry in one] for one in scored] == [prompt[1:]]


def test_requests_that_belong_together_are_queued_all_or_none(loaded: LoadedModel) -> None:
    bench = Bench(loaded, Limits(max_batch=1, max_waiting=2, cache_tokens=10_000, prefill_tokens=64))
    bench.submit("first", [5], max_tokens=2)
    both = [Request(name, [5], SamplingParams(max_tokens=2), 0.0) for name in ("b", "c", "d")]
    with pytest.raises(WorkerError, match="busy"):
        bench.engine.submit(*both)
    assert bench.engine.n_requests == 1
    bench.engine.submit(*(Request(name, [5], SamplingParams(max_tokens=2), 0.0) for name in ("e", "f")))
    bench.engine.start()
    assert bench.last("f").finish_reason is FinishReason.LENGTH
    assert set(bench.outputs) == {"first", "e", "f"}
    assert bench.engine.close(10)
