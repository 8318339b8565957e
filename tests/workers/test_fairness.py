"""In which order waiting requests get their turns."""

from hypothesis import given
from hypothesis import strategies as st

from apps.workers.fairness import Waiting, fair_order


def queue(parties: str) -> list[Waiting]:
    """One request per letter, in the order of arrival."""
    return [Waiting(i, party) for i, party in enumerate(parties)]


def order(parties: str, running: dict[str, int] | None = None, last: dict[str, float] | None = None) -> str:
    ids = fair_order(queue(parties), running or {}, last or {})
    return "".join(parties[i] for i in ids)


def test_one_party_is_served_in_the_order_of_arrival() -> None:
    assert fair_order(queue("aaaa"), {}, {}) == [0, 1, 2, 3]


def test_a_light_user_comes_before_the_rest_of_a_heavy_ones_requests() -> None:
    assert order("hhhhhl", running={"h": 2}) == "lhhhhh"
    assert order("hhhhhl", last={"h": 50.0}) == "lhhhhh"
    assert order("hhhll") == "hlhlh"


def test_among_equals_whose_last_turn_is_longest_ago_is_next() -> None:
    assert order("abc", last={"a": 3.0, "b": 1.0, "c": 2.0}) == "bca"


def test_who_has_fewer_running_is_next_whoever_had_the_last_turn() -> None:
    assert order("ab", running={"a": 1}, last={"b": 99.0}) == "ba"


parties = st.text("abcd", max_size=40)


@given(parties, st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)))
def test_everybody_is_served_once_and_each_party_in_order(arrivals: str, running: dict[str, int]) -> None:
    ids = fair_order(queue(arrivals), running, {})
    assert sorted(ids) == list(range(len(arrivals)))
    for party in set(arrivals):
        own = [i for i in ids if arrivals[i] == party]
        assert own == sorted(own)


@given(parties, st.integers(1, 3))
def test_a_newcomer_waits_for_at_most_one_request_of_each_other_party(arrivals: str, n_running: int) -> None:
    served = order(arrivals + "n", running=dict.fromkeys("abcd", n_running))
    assert served.startswith("n")
    served = order(arrivals + "n")
    before = served[: served.index("n")]
    assert all(before.count(party) <= 1 for party in "abcd")
