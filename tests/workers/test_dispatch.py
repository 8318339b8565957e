"""Which worker gets the next request."""

from collections import Counter
from random import Random

from apps.workers.dispatch import Candidate, Method, choose

SHORTEST, LOTTERY = Method.SHORTEST_QUEUE, Method.LOTTERY


def pick(candidates: list[Candidate], method: Method, n: int = 1) -> Counter[int]:
    random = Random(7)
    chosen = (choose(candidates, method, random) for _ in range(n))
    return Counter(c.worker_id for c in chosen if c is not None)


def test_nobody_is_chosen_from_an_empty_pool() -> None:
    assert choose([], SHORTEST, Random(1)) is None
    assert choose([], LOTTERY, Random(1)) is None


def test_shortest_queue_divides_the_queue_by_the_speed() -> None:
    slow, fast = Candidate(1, queue=2, speed=1.0), Candidate(2, queue=5, speed=4.0)
    assert pick([slow, fast], SHORTEST) == {2: 1}


def test_shortest_queue_shares_evenly_among_idle_workers() -> None:
    idle = [Candidate(i, queue=0, speed=1.0) for i in (1, 2, 3)]
    counts = pick(idle, SHORTEST, n=3000)
    # Binomial with n=3000, p=1/3: 5 standard deviations are 129.
    assert all(abs(counts[i] - 1000) < 129 for i in (1, 2, 3))


def test_lottery_draws_in_proportion_to_speed_whatever_the_queue() -> None:
    three_to_one = [Candidate(1, queue=900, speed=3.0), Candidate(2, queue=0, speed=1.0)]
    counts = pick(three_to_one, LOTTERY, n=4000)
    # Binomial with n=4000, p=3/4: 5 standard deviations are 137.
    assert abs(counts[1] - 3000) < 137


def test_a_cooling_worker_is_passed_over_while_another_can_serve() -> None:
    pool = [Candidate(1, queue=0, speed=9.0, is_cooling=True), Candidate(2, queue=50, speed=1.0)]
    assert pick(pool, SHORTEST) == {2: 1}
    assert pick(pool, LOTTERY, n=50) == {2: 50}


def test_when_all_are_cooling_the_least_bad_is_asked() -> None:
    pool = [Candidate(1, queue=3, speed=1.0, is_cooling=True), Candidate(2, queue=1, speed=1.0, is_cooling=True)]
    assert pick(pool, SHORTEST) == {2: 1}
