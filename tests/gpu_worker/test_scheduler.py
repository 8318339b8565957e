"""Who computes next: nobody is lost, nobody starves, and the bounds hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.request import Request, RequestState, SamplingParams
from gpu_worker.engine.scheduler import Limits, PrefillPace, QueueFull, Scheduler, StepPlan


def request(n_prompt: int, max_tokens: int, name: str = "r") -> Request:
    return Request(name, [1] * n_prompt, SamplingParams(max_tokens=max_tokens), 0.0)


def compute(scheduler: Scheduler, plan: StepPlan, n_generated: dict[str, int]) -> None:
    """What the engine does with a plan, without a model: everyone generates as much as it may."""
    for chunk in plan.prefill:
        chunk.request.n_prefilled += chunk.n_tokens
    stepped = [*plan.decode, *(chunk.request for chunk in plan.prefill if chunk.completes_prompt)]
    for one in stepped:
        one.state = RequestState.DECODING
        n_generated[one.id] = n_generated.get(one.id, 0) + 1
        if n_generated[one.id] == one.params.max_tokens:
            scheduler.finish(one)


def test_a_long_prompt_is_computed_in_chunks_while_others_decode() -> None:
    scheduler = Scheduler(Limits(max_batch=4, max_waiting=4, cache_tokens=1000, prefill_tokens=10))
    short, long = request(2, 50, "short"), request(25, 50, "long")
    scheduler.add(short)
    scheduler.add(long)
    done: dict[str, int] = {}
    chunks = []
    for _ in range(3):
        plan = scheduler.plan()
        chunks.append([(chunk.request.id, chunk.start, chunk.n_tokens) for chunk in plan.prefill])
        compute(scheduler, plan, done)
    assert chunks == [[("short", 0, 2), ("long", 0, 8)], [("long", 8, 10)], [("long", 18, 7)]]
    assert done == {"short": 3, "long": 1}


def test_while_others_decode_a_prompt_takes_about_a_fifth_of_a_second_per_step() -> None:
    pace = PrefillPace(512)
    assert pace.budget(others_decode=True) == 512, "nothing is known yet"
    pace.observe(512, 2.0)
    assert pace.budget(others_decode=True) == 51
    assert pace.budget(others_decode=False) == 512
    for _ in range(20):
        pace.observe(64, 10.0)
    assert pace.budget(others_decode=True) == 32, "never so little that it takes for ever"
    for _ in range(40):
        pace.observe(64, 0.001)
    assert pace.budget(others_decode=True) == 512


def test_a_full_queue_refuses() -> None:
    scheduler = Scheduler(Limits(max_batch=1, max_waiting=1, cache_tokens=100, prefill_tokens=10))
    for _ in range(2):
        scheduler.add(request(1, 1))
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1))
    scheduler.plan()
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1))


def test_a_request_that_can_never_fit_is_an_error() -> None:
    scheduler = Scheduler(Limits(max_batch=1, max_waiting=1, cache_tokens=100, prefill_tokens=10))
    with pytest.raises(ValueError, match="never fit"):
        scheduler.add(request(60, 41))


def test_a_large_request_at_the_head_is_not_overtaken() -> None:
    scheduler = Scheduler(Limits(max_batch=4, max_waiting=9, cache_tokens=100, prefill_tokens=100))
    first, large, small = request(20, 20, "first"), request(50, 40, "large"), request(2, 2, "small")
    for one in (first, large, small):
        scheduler.add(one)
    assert scheduler.plan().admitted == [first]
    scheduler.finish(first)
    assert scheduler.plan().admitted == [large]


def test_a_request_can_be_finished_while_it_waits_and_twice() -> None:
    scheduler = Scheduler(Limits(max_batch=1, max_waiting=2, cache_tokens=100, prefill_tokens=10))
    waiting = request(1, 1)
    scheduler.add(waiting)
    scheduler.finish(waiting)
    scheduler.finish(waiting)
    assert scheduler.plan().is_empty


@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 20)), min_size=1, max_size=25),
    max_batch=st.integers(1, 6),
    prefill_tokens=st.integers(1, 30),
    arrivals=st.lists(st.integers(0, 3), min_size=25, max_size=25),
)
def test_every_request_finishes_in_order_of_arrival_and_no_bound_is_broken(
    sizes: list[tuple[int, int]], max_batch: int, prefill_tokens: int, arrivals: list[int]
) -> None:
    limits = Limits(max_batch=max_batch, max_waiting=100, cache_tokens=150, prefill_tokens=prefill_tokens)
    scheduler = Scheduler(limits)
    pending = [request(n_prompt, n_new, str(i)) for i, (n_prompt, n_new) in enumerate(sizes)]
    generated: dict[str, int] = {}
    admitted: list[str] = []
    for step in range(3000):
        if not pending and not scheduler.running and not scheduler.waiting:
            break
        for _ in range(max(arrivals[step % 25], step % 5 == 0)):
            if pending:
                scheduler.add(pending.pop(0))
        plan = scheduler.plan()
        admitted += [one.id for one in plan.admitted]
        assert len(scheduler.running) <= max_batch
        assert sum(chunk.n_tokens for chunk in plan.prefill) <= prefill_tokens
        longest = max((one.n_reserved for one in scheduler.running), default=0)
        assert longest * len(scheduler.running) <= limits.cache_tokens
        assert not plan.is_empty or not scheduler.waiting, "something waits and nothing runs"
        compute(scheduler, plan, generated)
    assert generated == {str(i): n_new for i, (_, n_new) in enumerate(sizes)}
    assert admitted == [str(i) for i in range(len(sizes))]
