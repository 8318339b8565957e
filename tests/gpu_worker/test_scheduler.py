"""Who computes next: nobody is lost, nobody starves, and the bounds hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.prefix import BLOCK_TOKENS
from gpu_worker.engine.request import Request, RequestState, SamplingParams
from gpu_worker.engine.rows import footprint
from gpu_worker.engine.scheduler import (
    MAX_OVERTAKEN,
    Limits,
    PrefillPace,
    QueueFull,
    Scheduler,
    StepPlan,
    longest_row,
)


def request(n_prompt: int, max_tokens: int, name: str = "r", priority: int = 0) -> Request:
    return Request(name, [1] * n_prompt, SamplingParams(max_tokens=max_tokens, priority=priority), 0.0)


def compute(scheduler: Scheduler, plan: StepPlan, n_generated: dict[str, int] | None = None) -> None:
    """What the engine does with a plan, without a model: everyone generates as much as it may."""
    for chunk in plan.chunks:
        one = chunk.request
        assert chunk.start == one.n_computed, "a gap, or something twice"
        ends = chunk.is_last
        one.n_computed += chunk.n_tokens
        if ends:
            one.state = RequestState.DECODING
            one.output_ids.append(7)
            if n_generated is not None:
                n_generated[one.id] = len(one.output_ids)
            if len(one.output_ids) == one.params.max_tokens:
                scheduler.finish(one)


def scheduler_of(*, max_batch: int = 4, max_waiting: int = 9, cache: int = 1024, prefill: int = 100) -> Scheduler:
    return Scheduler(Limits(max_batch, max_waiting, cache, prefill), footprint)


def test_a_long_prompt_is_computed_in_chunks_while_others_decode() -> None:
    scheduler = scheduler_of(prefill=10)
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


def test_while_others_decode_a_prompt_takes_about_a_tenth_of_a_second_per_step() -> None:
    pace = PrefillPace(512)
    assert pace.budget(others_decode=True) == 512, "nothing is known yet"
    pace.observe(512, 1.0)
    assert pace.budget(others_decode=True) == 51
    assert pace.budget(others_decode=False) == 512
    for _ in range(20):
        pace.observe(64, 10.0)
    assert pace.budget(others_decode=True) == 32, "never so little that it takes for ever"
    for _ in range(40):
        pace.observe(64, 0.001)
    assert pace.budget(others_decode=True) == 512


def test_a_full_queue_refuses() -> None:
    scheduler = scheduler_of(max_batch=1, max_waiting=1)
    for name in "ab":
        scheduler.add(request(1, 1, name))
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1, "c"))
    scheduler.plan()
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1, "c"))


def test_a_request_that_can_never_fit_is_an_error() -> None:
    scheduler = scheduler_of(cache=128)
    scheduler.add(request(64, 64))
    with pytest.raises(ValueError, match="never fit"):
        scheduler.add(request(65, 64))


def test_the_longest_row_is_what_still_fits() -> None:
    assert longest_row(footprint, 200) == 192
    assert longest_row(footprint, 63) == 0


def test_a_large_request_at_the_head_is_not_overtaken() -> None:
    scheduler = scheduler_of(cache=256)
    first, large, small = request(20, 20, "first"), request(190, 40, "large"), request(2, 2, "small")
    for one in (first, large, small):
        scheduler.add(one)
    assert scheduler.plan().admitted == [first]
    scheduler.finish(first)
    assert scheduler.plan().admitted == [large]


def test_a_request_can_be_finished_while_it_waits_and_twice() -> None:
    scheduler = scheduler_of()
    waiting = request(1, 1)
    scheduler.add(waiting)
    scheduler.finish(waiting)
    scheduler.finish(waiting)
    assert scheduler.plan().chunks == []


def test_a_higher_priority_goes_first_and_equals_keep_their_order() -> None:
    scheduler = scheduler_of(max_batch=5)
    for name, priority in (("a", 0), ("b", 0), ("urgent", -5), ("idle", 9), ("c", 0)):
        scheduler.add(request(1, 1, name, priority))
    assert [one.id for one in scheduler.plan().admitted] == ["urgent", "a", "b", "c", "idle"]


def test_a_request_that_was_overtaken_often_enough_goes_first() -> None:
    scheduler = scheduler_of(max_batch=1, max_waiting=1000)
    scheduler.add(request(1, 1, "patient", priority=9))
    order: list[str] = []
    for number in range(2 * MAX_OVERTAKEN):
        scheduler.add(request(1, 1, str(number)))
        plan = scheduler.plan()
        order += [one.id for one in plan.admitted]
        compute(scheduler, plan)
    assert order.index("patient") == MAX_OVERTAKEN - 1


def test_when_memory_is_short_the_latest_gives_way_and_computes_its_tokens_again() -> None:
    scheduler = scheduler_of(cache=256)
    first, second = request(60, 150, "first"), request(60, 150, "second")
    scheduler.add(first)
    scheduler.add(second)
    plan = scheduler.plan()
    while not plan.preempted:
        compute(scheduler, plan)
        plan = scheduler.plan()
    assert plan.preempted == [second]
    assert (second.state, second.n_computed, scheduler.waiting) == (RequestState.WAITING, 0, [second])
    n_outputs = len(second.output_ids)
    while second not in plan.admitted:
        compute(scheduler, plan)
        plan = scheduler.plan()
    assert [(chunk.start, chunk.n_tokens) for chunk in plan.prefill] == [(0, 100)], "as much as a step may take"
    assert (n_outputs, second.n_known) == (len(second.output_ids), 60 + n_outputs)


def test_the_more_important_request_is_not_preempted() -> None:
    scheduler = scheduler_of(cache=256)
    early, urgent = request(60, 150, "early"), request(60, 150, "urgent", -1)
    for one in (early, urgent):
        scheduler.add(one)
    plan = scheduler.plan()
    while not plan.preempted:
        compute(scheduler, plan)
        plan = scheduler.plan()
    assert plan.preempted == [early]


def test_stored_prefixes_give_way_to_running_requests() -> None:
    scheduler = scheduler_of(cache=256)
    scheduler.prefixes.put(range(4 * BLOCK_TOKENS), "", lambda start: start)
    scheduler.add(request(70, 10))
    scheduler.plan()
    assert scheduler.prefixes.n_tokens == 128


@given(
    sizes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 90), st.integers(-1, 1)), min_size=1, max_size=25),
    max_batch=st.integers(1, 6),
    prefill=st.integers(1, 200),
    arrivals=st.lists(st.integers(0, 3), min_size=25, max_size=25),
    cancelled=st.sets(st.integers(0, 24), max_size=3),
)
def test_nobody_is_lost_or_starves_and_memory_is_never_over(
    sizes: list[tuple[int, int, int]], max_batch: int, prefill: int, arrivals: list[int], cancelled: set[int]
) -> None:
    scheduler = scheduler_of(max_batch=max_batch, max_waiting=100, cache=512, prefill=prefill)
    pending = [request(n_prompt, n_new, str(i), priority) for i, (n_prompt, n_new, priority) in enumerate(sizes)]
    generated: dict[str, int] = {}
    for step in range(20_000):
        if not pending and not scheduler.running and not scheduler.waiting:
            break
        for _ in range(max(arrivals[step % 25], step % 5 == 0)):
            if pending:
                scheduler.add(pending.pop(0))
        plan = scheduler.plan()
        assert len(scheduler.running) <= max_batch
        assert plan.n_prompt_tokens <= prefill
        held = footprint([one.n_known for one in scheduler.running])
        assert held + scheduler.prefixes.n_tokens <= 512
        assert plan.chunks or not scheduler.waiting, "something waits and nothing computes"
        for one in plan.admitted:
            scheduler.prefixes.put(one.known_ids(), one.id, lambda start: start)
        scheduler.prefixes.shrink_to(scheduler.room_for_prefixes())
        compute(scheduler, plan, generated)
        for one in [one for one in scheduler.running if int(one.id) in cancelled and one.n_computed]:
            scheduler.finish(one)
            generated[one.id] = one.params.max_tokens
    assert generated == {str(i): n_new for i, (_, n_new, _) in enumerate(sizes)}
