"""Which worker gets the next request."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.actors import Actor
from apps.workers.call import Call, WorkerPath
from apps.workers.dispatch import Candidate, Method, choose, virtual_time_after

SHORTEST, LOTTERY = Method.SHORTEST_QUEUE, Method.LOTTERY
TWO, AFFINITY = Method.TWO_CHOICES, Method.PREFIX_AFFINITY


def pick(candidates: list[Candidate], method: Method, n: int = 1) -> Counter[int]:
    random = Random(7)
    chosen = (choose(candidates, method, random) for _ in range(n))
    return Counter(c.worker_id for c in chosen if c is not None)


def test_nobody_is_chosen_from_an_empty_pool() -> None:
    assert all(choose([], method, Random(1), key="k") is None for method in Method)


def test_shortest_queue_divides_the_queue_by_the_speed() -> None:
    slow, fast = Candidate(1, queue=2, capacity=1.0), Candidate(2, queue=5, capacity=4.0)
    assert pick([slow, fast], SHORTEST) == {2: 1}


def served(pool: list[Candidate], method: Method, n: int, *, n_running: int = 0) -> Counter[int]:
    """How many of `n` requests each worker gets when `n_running` are kept running, the oldest ending first."""
    random, running, counts = Random(7), list[int](), Counter[int]()
    for _ in range(n):
        if len(running) > n_running:
            ended = running.pop(0)
            pool = [replace(c, queue=c.queue - (c.worker_id == ended)) for c in pool]
        chosen = choose(pool, method, random)
        assert chosen is not None
        counted = replace(chosen, queue=chosen.queue + 1, virtual_time=virtual_time_after(chosen, pool))
        pool = [counted if c is chosen else c for c in pool]
        running.append(chosen.worker_id)
        counts[chosen.worker_id] += 1
    return counts


@pytest.mark.parametrize("n_running", [0, 1, 12, 50])
def test_three_equal_workers_get_equal_shares_of_200_requests(n_running: int) -> None:
    counts = served([Candidate(i, 0, 1.0) for i in (1, 2, 3)], SHORTEST, 200, n_running=n_running)
    assert all(abs(counts[i] - 200 / 3) <= 0.1 * 200 / 3 for i in (1, 2, 3)), counts


@pytest.mark.parametrize("method", [SHORTEST, LOTTERY])
@pytest.mark.parametrize("n_running", [0, 40])
def test_three_to_one_gets_three_to_one(method: Method, n_running: int) -> None:
    counts = served([Candidate(1, 0, 3.0), Candidate(2, 0, 1.0)], method, 2000, n_running=n_running)
    assert abs(counts[1] - 1500) <= 100, counts


def test_a_worker_that_comes_back_is_not_flooded_with_what_it_missed() -> None:
    pool = [Candidate(1, 0, 1.0, virtual_time=9000.0), Candidate(2, 0, 1.0)]
    counts = served(pool, SHORTEST, 20)
    assert abs(counts[1] - counts[2]) <= 2


def test_of_two_that_are_drawn_the_less_loaded_is_chosen() -> None:
    pool = [Candidate(1, 9, 1.0), Candidate(2, 5, 1.0), Candidate(3, 0, 1.0)]
    counts = pick(pool, TWO, n=3000)
    # Three pairs, equally likely: the fullest is in two of them and loses both.
    assert counts[1] == 0
    assert abs(counts[3] - 2000) < 130
    assert pick(pool[:1], TWO) == {1: 1}


KEYS = [f"conversation {i}" for i in range(400)]


def owner(pool: list[Candidate], key: str) -> int:
    chosen = choose(pool, AFFINITY, Random(1), key=key)
    assert chosen is not None
    return chosen.worker_id


def test_a_conversation_stays_with_its_worker_and_few_move_when_another_leaves() -> None:
    pool = [Candidate(i, 0, 1.0) for i in (1, 2, 3, 4)]
    before = {key: owner(pool, key) for key in KEYS}
    after = {key: owner(pool[:3], key) for key in KEYS}
    assert all(after[key] == before[key] for key in KEYS if before[key] != 4)
    assert min(Counter(before.values()).values()) > 60


def test_conversations_are_spread_in_proportion_to_capacity() -> None:
    counts = Counter(owner([Candidate(1, 0, 3.0), Candidate(2, 0, 1.0)], key) for key in KEYS)
    # Binomial with n=400, p=3/4: 5 standard deviations are 43.
    assert abs(counts[1] - 300) < 43


def test_a_conversation_leaves_a_worker_that_has_too_much_to_do() -> None:
    idle = [Candidate(1, 0, 1.0), Candidate(2, 0, 1.0)]
    home = owner(idle, "a")
    busy = [replace(c, queue=10 if c.worker_id == home else 2) for c in idle]
    assert owner(busy, "a") != home
    assert owner([replace(c, queue=10) for c in idle], "a") == home


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.01, 1000)), min_size=1, max_size=6), st.text(max_size=5))
def test_every_method_always_finds_one(loads: list[tuple[int, float]], key: str) -> None:
    pool = [Candidate(i, queue, capacity) for i, (queue, capacity) in enumerate(loads)]
    assert all(choose(pool, method, Random(1), key=key) in pool for method in Method)


def chat(*contents: str) -> Call:
    roles = ["system", *["user", "assistant"] * len(contents)]
    messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return Call(Actor(), "tiny", {"messages": messages})


def test_the_turns_of_a_conversation_share_a_key_and_other_conversations_do_not() -> None:
    turns = [chat("Be brief.", "Hi"), chat("Be brief.", "Hi", "Hello", "And?"), chat("Be brief.", "Hi", "Yo")]
    assert len({turn.prefix_key for turn in turns}) == 1
    assert all(a.prefix_key != b.prefix_key for a, b in pairwise([turns[0], chat("Be brief.", "Ho"), chat("B", "Hi")]))


@pytest.mark.parametrize("prompt", ["Once upon", ["Once upon", "x"], [1, 2, 3], [[1, 2]]])
def test_a_text_to_be_completed_has_a_key(prompt: object) -> None:
    call = Call(Actor(), "tiny", {"prompt": prompt}, WorkerPath.COMPLETIONS)
    assert call.prefix_key == Call(Actor(), "tiny", {"prompt": prompt, "n": 2}, WorkerPath.COMPLETIONS).prefix_key != ""


@pytest.mark.parametrize("body", [{}, {"messages": 5}, {"messages": []}, {"messages": [3]}, {"messages": ["\ud800"]}])
def test_a_body_of_any_shape_is_left_for_the_worker_to_refuse(body: dict[str, object]) -> None:
    assert isinstance(Call(Actor(), "tiny", body).prefix_key, str)
    assert Call(Actor(), "tiny", {"input": "x"}, WorkerPath.EMBEDDINGS).prefix_key == ""


def test_lottery_draws_in_proportion_to_speed_whatever_the_queue() -> None:
    three_to_one = [Candidate(1, queue=900, capacity=3.0), Candidate(2, queue=0, capacity=1.0)]
    counts = pick(three_to_one, LOTTERY, n=4000)
    # Binomial with n=4000, p=3/4: 5 standard deviations are 137.
    assert abs(counts[1] - 3000) < 137


def test_a_cooling_worker_is_passed_over_while_another_can_serve() -> None:
    pool = [Candidate(1, queue=0, capacity=9.0, is_cooling=True), Candidate(2, queue=50, capacity=1.0)]
    assert pick(pool, SHORTEST) == {2: 1}
    assert pick(pool, LOTTERY, n=50) == {2: 50}


def test_when_all_are_cooling_the_one_with_the_fewest_faults_is_asked() -> None:
    pool = [Candidate(1, queue=0, capacity=9.0, is_cooling=True, n_faults=4), Candidate(2, 5, 1.0, True, n_faults=3)]
    assert pick(pool, SHORTEST) == {2: 1}


def test_of_those_with_equal_faults_the_method_chooses_is_asked() -> None:
    pool = [Candidate(1, queue=3, capacity=1.0, is_cooling=True), Candidate(2, queue=1, capacity=1.0, is_cooling=True)]
    assert pick(pool, SHORTEST) == {2: 1}
