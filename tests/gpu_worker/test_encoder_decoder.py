"""Encoder-decoder models in the engine: what they compute together is what transformers computes for each alone."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gpu_worker.engine.encoder_decoder import EncoderDecoderRunner
from gpu_worker.engine.request import Request, SamplingParams
from gpu_worker.engine.scheduler import Chunk, Limits
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.loading import LoadedModel
from gpu_worker.protocol import FinishReason, WorkerErrorCode
from tests.gpu_worker.engine_bench import Bench, load, prompts_of
from tests.gpu_worker.tiny_t5 import KINDS, make_tiny_t5


@pytest.fixture(scope="module", params=KINDS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(make_tiny_t5(tmp_path_factory.mktemp("t5") / "model", request.param))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(make_tiny_t5(tmp_path_factory.mktemp("t5") / "model"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and lose much where the machine is busy."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def bench(t5: LoadedModel) -> Iterator[Bench]:
    bench = Bench(t5)
    bench.engine.start()
    yield bench
    assert bench.engine.close(10)


def generated_alone(loaded: LoadedModel, prompt: list[int], n_tokens: int, **options: Any) -> list[int]:
    """transformers' own greedy decoding, which does not end before so many tokens."""
    output = loaded.model.generate(
        torch.tensor([prompt]), max_new_tokens=n_tokens, min_new_tokens=n_tokens, do_sample=False, **options
    )
    tokens: list[int] = output[0, 1:].tolist()
    return tokens


def test_greedy_decoding_in_a_mixed_batch_equals_generate_for_each_prompt_alone(loaded: LoadedModel) -> None:
    # More prompts than the batch holds, one longer than what a step takes of prompts that can be split: they join and
    # leave at different steps, and decode at different ages, further than distances count.
    bench = Bench(loaded)
    bench.engine.start()
    prompts = prompts_of((5, 300, 17, 64, 33, 8, 120, 1, 2, 90))
    sizes = [70 + 4 * i for i in range(len(prompts))]
    requests = [bench.submit(str(i), p, max_tokens=sizes[i], min_tokens=sizes[i]) for i, p in enumerate(prompts)]
    for request, size in zip(requests, sizes, strict=True):
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        expected = generated_alone(loaded, request.prompt_ids, size)
        assert request.output_ids == expected
        assert bench.text(request.id) == loaded.decode(expected)
    assert max(bench.batches) == 8
    assert bench.engine.close(10)


def test_an_answer_ends_where_generates_ends(t5: LoadedModel, bench: Bench) -> None:
    prompt = prompts_of([40])[0]
    free = generated_alone(t5, prompt, 60)
    end = free[30]
    alone = t5.model.generate(torch.tensor([prompt]), max_new_tokens=60, do_sample=False, eos_token_id=end)
    request = bench.submit("ends", prompt, max_tokens=60, stop_token_ids=(end,))
    assert bench.last("ends").finish_reason is FinishReason.STOP
    assert request.output_ids == alone[0, 1:].tolist()
    assert len(request.output_ids) == free.index(end) + 1


def test_a_repetition_penalty_counts_what_the_decoder_wrote_and_not_the_prompt(t5: LoadedModel, bench: Bench) -> None:
    free = generated_alone(t5, prompts_of([30])[0], 64)
    prompt = [*prompts_of([30])[0], *set(free)]  # words that a penalty on the prompt would keep away
    request = bench.submit("r", prompt, max_tokens=64, min_tokens=64, repetition_penalty=1.4)
    bench.last("r")
    assert request.output_ids == generated_alone(t5, prompt, 64, repetition_penalty=1.4)
    assert request.output_ids != generated_alone(t5, prompt, 64)


def test_requests_that_outgrow_the_memory_give_way_and_lose_nothing(t5: LoadedModel) -> None:
    # Room for all prompts, but not for all answers.
    limits = Limits(max_batch=8, max_waiting=100, cache_tokens=t5.runner.footprint([250] * 2), prefill_tokens=64)
    bench = Bench(t5, limits)
    prompts = prompts_of((60, 70, 50, 64, 90))
    greedy = [bench.submit(f"g{i}", prompt, max_tokens=150, min_tokens=150) for i, prompt in enumerate(prompts)]
    seeded = [bench.submit(f"s{i}", prompts[0], max_tokens=120, temperature=1, seed=5) for i in range(2)]
    bench.engine.start()
    for request in greedy:
        assert bench.last(request.id).finish_reason is FinishReason.LENGTH
        expected = generated_alone(t5, request.prompt_ids, 150)
        assert request.output_ids == expected
        assert bench.text(request.id) == t5.decode(expected), "shown once, however often it was computed"
    for request in seeded:
        bench.last(request.id)
    assert seeded[0].output_ids == seeded[1].output_ids
    assert 0 < bench.most_held <= limits.cache_tokens
    n_needed = sum(len(request.prompt_ids) for request in [*greedy, *seeded])
    assert bench.n_prompt_tokens > n_needed, "nothing was computed again: the test needs less memory"
    assert bench.engine.close(10)


def test_a_seeded_answer_is_the_same_alone_and_in_a_crowd(bench: Bench) -> None:
    prompt = prompts_of([20])[0]
    alone = bench.submit("alone", prompt, max_tokens=50, min_tokens=50, temperature=1, seed=11)
    bench.last("alone")
    crowd = [bench.submit(str(i), p, max_tokens=90, temperature=1) for i, p in enumerate(prompts_of((30, 9, 50)))]
    again = bench.submit("again", prompt, max_tokens=50, min_tokens=50, temperature=1, seed=11)
    other = bench.submit("other", prompt, max_tokens=50, min_tokens=50, temperature=1, seed=12)
    for request in [*crowd, again, other]:
        bench.last(request.id)
    assert again.output_ids == alone.output_ids
    assert other.output_ids != alone.output_ids


def test_a_cancelled_request_computes_no_further_token_and_frees_its_memory(t5: LoadedModel, bench: Bench) -> None:
    bench.on_output = lambda output: bench.engine.cancel("r") if output.n_tokens == 5 else None
    request = bench.submit("r", [5, 6, 7], max_tokens=400, min_tokens=400)
    assert bench.last("r").finish_reason is FinishReason.CANCELLED
    assert bench.last("r").n_tokens == len(request.output_ids) == 5
    assert isinstance(t5.runner, EncoderDecoderRunner)
    assert t5.runner.n_tokens_held == 0


def test_log_probabilities_are_the_models_own(t5: LoadedModel, bench: Bench) -> None:
    request = bench.submit("r", prompts_of([12])[0], max_tokens=70, min_tokens=70, logprobs=3)
    bench.last("r")
    entries = [entry for output in bench.outputs["r"] for entry in output.logprobs]
    written = torch.tensor([[0, *request.output_ids[:-1]]])
    with torch.inference_mode():
        logits = t5.model(input_ids=torch.tensor([request.prompt_ids]), decoder_input_ids=written).logits[0]
    expected = logits.float().log_softmax(-1)
    assert [entry.token_id for entry in entries] == request.output_ids
    for row, entry in zip(expected, entries, strict=True):
        assert entry.logprob == pytest.approx(float(row[entry.token_id]), abs=2e-3)
        assert [token for token, _ in entry.top] == row.topk(3).indices.tolist()


def test_the_same_prompt_is_encoded_once_for_several_answers(t5: LoadedModel, bench: Bench) -> None:
    encoded: list[int] = []
    hook = t5.model.encoder.register_forward_hook(lambda module, args, output: encoded.append(1))
    prompt = prompts_of([50])[0]  # more than one is too much for one step
    params = [SamplingParams(max_tokens=60, min_tokens=60, seed=i) for i in range(4)]
    requests = [Request(str(i), prompt, params[i], 0.0) for i in range(4)]
    bench.engine.submit(*requests)
    for request in requests:
        bench.last(request.id)
    hook.remove()
    assert len(encoded) == 1
    assert len({tuple(request.output_ids) for request in requests}) == 4


def test_prompts_cannot_be_scored(bench: Bench) -> None:
    with pytest.raises(WorkerError) as caught:
        bench.submit("r", [5, 6, 7], max_tokens=1, prompt_logprobs=0)
    assert (caught.value.code, caught.value.param) == (WorkerErrorCode.UNSUPPORTED_PARAMETER, "echo")
    assert bench.engine.n_requests == 0


def test_nothing_of_a_prompt_is_kept_for_others(t5: LoadedModel, bench: Bench) -> None:
    first = prompts_of([200])[0]
    for i, prompt in enumerate([first, first, [*first[:150], 9, 9]]):
        request = bench.submit(str(i), prompt, max_tokens=20, min_tokens=20)
        bench.last(str(i))
        assert request.output_ids == generated_alone(t5, prompt, 20)
    assert bench.n_prompt_tokens == 200 + 200 + 152


@pytest.mark.parametrize("n_steps", [1, 63, 64, 65, 130])
def test_memory_is_never_more_than_the_scheduler_was_told(t5: LoadedModel, n_steps: int) -> None:
    runner = EncoderDecoderRunner(t5.model, start_id=0)
    requests = [Request(str(n), [5] * n, SamplingParams(max_tokens=200), 0.0) for n in (1, 64, 100)]
    with torch.inference_mode():
        runner.add(requests)
        for _ in range(n_steps):
            told = runner.footprint([request.n_known for request in requests])
            runner.compute([Chunk(r, r.n_computed, r.n_known - r.n_computed) for r in requests])
            assert told - 3 * 64 < runner.n_tokens_held <= told
            for request in requests:
                request.n_computed = request.n_known
                request.output_ids.append(7)
        for request in requests:
            runner.drop(request)
    assert runner.n_tokens_held == 0
