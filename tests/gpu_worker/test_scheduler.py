"""Who computes next: nobody is lost, nobody starves, and the bounds hold."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.engine.picture import Picture
from gpu_worker.engine.prefix import BLOCK_TOKENS, PrefixStore
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
    return Request(
        name, [place % 89 for place in range(n_prompt)], SamplingParams(max_tokens=max_tokens, priority=priority), 0.0
    )


def compute(scheduler: Scheduler, plan: StepPlan, n_generated: dict[str, int] | None = None) -> None:
    """What the engine does with a plan, without a model: everyone generates as much as it may."""
    for chunk in plan.chunks:
        one = chunk.request
        assert chunk.start == one.n_computed, "a gap, or something twice"
        ends = chunk.is_last
        one.computed(chunk.start, chunk.n_tokens)
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


def test_prompts_that_cannot_be_split_take_one_step_each_however_long() -> None:
    scheduler = Scheduler(Limits(4, 9, 1024, prefill_tokens=10), footprint, splits_prompts=False)
    for name, n_prompt in (("long", 25), ("short", 4), ("shorter", 3), ("last", 8)):
        scheduler.add(request(n_prompt, 50, name))
    chunks = []
    for _ in range(3):
        plan = scheduler.plan()
        chunks.append([(chunk.request.id, chunk.start, chunk.n_tokens) for chunk in plan.prefill])
        compute(scheduler, plan)
    assert chunks == [[("long", 0, 25)], [("short", 0, 4), ("shorter", 0, 3)], [("last", 0, 8)]]


def test_prompts_that_cannot_be_split_are_not_taken_over_in_part_either() -> None:
    scheduler = Scheduler(Limits(4, 9, 1024, prefill_tokens=100), footprint, splits_prompts=False)
    for name in ("a", "b"):
        scheduler.add(request(25, 9, name))
    plan = scheduler.plan()
    assert chunks_of(plan) == [("a", 0, 25), ("b", 0, 25)], "nobody waits for the other one"
    compute(scheduler, plan)
    scheduler.add(request(25, 9, "late"))
    plan = scheduler.plan()
    assert shares_of(plan) == []
    assert chunks_of(plan) == [("a", 25, 1), ("b", 25, 1), ("late", 0, 25)]


def chunks_of(plan: StepPlan) -> list[tuple[str, int, int]]:
    return [(chunk.request.id, chunk.start, chunk.n_tokens) for chunk in plan.chunks]


def shares_of(plan: StepPlan) -> list[tuple[str, str, int, int]]:
    return [(share.giver.id, share.taker.id, share.start, share.n_tokens) for share in plan.shared]


def test_of_requests_with_the_same_prompt_one_computes_it_and_the_others_take_it_over() -> None:
    scheduler = scheduler_of(prefill=10)
    for name in "abc":
        scheduler.add(request(25, 9, name))
    plans = []
    for _ in range(4):
        plans.append(scheduler.plan())
        compute(scheduler, plans[-1])
    assert [one.id for one in plans[0].admitted] == ["a", "b", "c"], "the others hold their memory while they wait"
    assert [chunks_of(plan) for plan in plans[:3]] == [[("a", 0, 10)], [("a", 10, 10)], [("a", 20, 5)]]
    assert shares_of(plans[3]) == [("a", "b", 0, 24), ("a", "c", 0, 24)]
    assert chunks_of(plans[3]) == [("a", 25, 1), ("b", 24, 1), ("c", 24, 1)]


def test_a_request_that_comes_later_takes_over_the_prompt_of_one_that_runs() -> None:
    scheduler = scheduler_of()
    scheduler.add(request(25, 9, "a"))
    compute(scheduler, scheduler.plan())
    scheduler.add(request(25, 9, "late"))
    plan = scheduler.plan()
    assert shares_of(plan) == [("a", "late", 0, 24)]
    assert chunks_of(plan) == [("a", 25, 1), ("late", 24, 1)]


def test_when_the_one_that_computes_is_gone_the_next_one_computes() -> None:
    scheduler = scheduler_of(prefill=10)
    first, second, third = requests = [request(25, 9, name) for name in "abc"]
    for one in requests:
        scheduler.add(one)
    compute(scheduler, scheduler.plan())
    scheduler.finish(first)
    for expected in ([("b", 0, 10)], [("b", 10, 10)], [("b", 20, 5)]):
        plan = scheduler.plan()
        assert chunks_of(plan) == expected
        compute(scheduler, plan)
    scheduler.finish(second)
    assert chunks_of(scheduler.plan()) == [("c", 0, 10)]
    assert third.n_cached is None


@pytest.mark.parametrize("other", ["another prompt", "another adapter", "scored"])
def test_what_is_not_the_same_prompt_or_must_be_scored_is_computed(other: str) -> None:
    scheduler = scheduler_of()
    first = request(25, 9, "first")
    match other:
        case "another prompt":
            second = Request("second", [*first.prompt_ids[:-1], 99], SamplingParams(max_tokens=9), 0.0)
        case "another adapter":
            second = Request("second", first.prompt_ids, SamplingParams(max_tokens=9), 0.0, adapter="x")
        case _:
            second = Request("second", first.prompt_ids, SamplingParams(max_tokens=9, prompt_logprobs=0), 0.0)
    scheduler.add(first)
    scheduler.add(second)
    plan = scheduler.plan()
    assert chunks_of(plan) == [("first", 0, 25), ("second", 0, 25)]
    compute(scheduler, plan)
    assert shares_of(scheduler.plan()) == []


def test_nobody_waits_for_a_prompt_that_is_computed_slowly_because_it_is_scored() -> None:
    scheduler = scheduler_of()
    plain = request(25, 9, "plain")
    scheduler.add(Request("scored", plain.prompt_ids, SamplingParams(max_tokens=9, prompt_logprobs=0), 0.0))
    scheduler.add(plain)
    assert chunks_of(scheduler.plan()) == [("scored", 0, 25), ("plain", 0, 25)]


def test_what_was_copied_before_a_request_was_preempted_and_computed_after_it_counts_as_computed() -> None:
    one = request(100, 9)
    one.computed(64, 36)
    assert one.n_cached == 64
    one.computed(0, 64)
    one.computed(64, 36)
    assert one.n_cached == 0
    one.computed(99, 1)
    assert one.n_cached == 0


def test_while_others_decode_a_prompt_takes_about_a_tenth_of_a_second_per_step() -> None:
    pace = PrefillPace(512, target_s=0.1)
    assert pace.budget(others_decode=True) == 512, "nothing is known yet"
    pace.observe(512, 0, 1.0)
    assert pace.budget(others_decode=True) == 51
    assert pace.budget(others_decode=False) == 512
    for _ in range(20):
        pace.observe(64, 0, 10.0)
    assert pace.budget(others_decode=True) == 32, "never so little that it takes for ever"
    for _ in range(40):
        pace.observe(64, 0, 0.001)
    assert pace.budget(others_decode=True) == 512


def test_many_streams_do_not_make_prompts_look_slow() -> None:
    pace, tokens_per_s, n_streams = PrefillPace(512, target_s=0.1), 1000.0, 64
    pace.observe(512, 0, 512 / tokens_per_s)
    for _ in range(50):
        budget = pace.budget(others_decode=True)
        pace.observe(budget, n_streams, (budget + n_streams) / tokens_per_s)
    assert pace.budget(others_decode=True) == pytest.approx(100, abs=1)


def test_a_full_queue_refuses() -> None:
    scheduler = scheduler_of(max_batch=1, max_waiting=1)
    for name in "ab":
        scheduler.add(request(1, 1, name))
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1, "c"))
    scheduler.plan()
    with pytest.raises(QueueFull):
        scheduler.add(request(1, 1, "c"))


def test_images_that_would_take_too_much_memory_together_wait_elsewhere() -> None:
    scheduler = scheduler_of()
    gibibyte = torch.zeros(1, dtype=torch.uint8).expand(2**30)  # it takes no memory

    def showing(name: str, *n_gibibytes: int) -> Request:
        pictures = tuple(Picture(name, {"pixels": gibibyte[None].expand(n, -1)}, 1) for n in n_gibibytes)
        return Request(name, [1, 2, 3], SamplingParams(max_tokens=9), 0.0, pictures=pictures)

    first = showing("first", 2, 1)
    scheduler.add(first)
    scheduler.add(Request("its second choice", [1, 2, 3], SamplingParams(max_tokens=9), 0.0, pictures=first.pictures))
    with pytest.raises(QueueFull, match="3072 MiB"):
        scheduler.add(showing("too many", 1, 1))
    scheduler.add(request(3, 9, "words alone"))
    scheduler.add(showing("fits", 1))
    for one in [*scheduler.waiting]:
        scheduler.finish(one)
    scheduler.add(showing("alone", 5))


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


def store(prefixes: PrefixStore, tokens: list[int]) -> None:
    prefixes.put(tokens, "", lambda start: tokens[start : start + BLOCK_TOKENS])


class Rows:
    """What a runner would hold: for each request, the tokens at the places that were computed or copied."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, int]] = {}

    def follow(self, plan: StepPlan) -> None:
        for one in plan.preempted:
            del self._rows[one.id]
        for one in plan.admitted:
            held = [token for block in plan.reused[one.id] for token in block]
            self._rows[one.id] = dict(enumerate(held))
        for share in plan.shared:
            row = self._rows[share.giver.id]
            places = range(share.start, share.start + share.n_tokens)
            self._rows[share.taker.id].update({place: row[place] for place in places})
        for chunk in plan.chunks:
            row, known = self._rows[chunk.request.id], chunk.request.known_ids()
            assert [row[place] for place in range(chunk.start)] == known[: chunk.start], "something else was copied"
            places = range(chunk.start, chunk.start + chunk.n_tokens)
            row.update({place: known[place] for place in places})


@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 300) | st.sampled_from([40, 150]), st.integers(1, 90), st.integers(-1, 1)),
        min_size=1,
        max_size=25,
    ),
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
    rows = Rows()
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
        rows.follow(plan)
        for one in plan.admitted:
            store(scheduler.prefixes, one.known_ids())
        scheduler.prefixes.shrink_to(scheduler.room_for_prefixes())
        compute(scheduler, plan, generated)
        for one in [one for one in scheduler.running if int(one.id) in cancelled and one.n_computed]:
            scheduler.finish(one)
            generated[one.id] = one.params.max_tokens
    assert generated == {str(i): n_new for i, (_, n_new, _) in enumerate(sizes)}
