"""The pacing rule by itself: no speed of either side changes what is seen of which."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.arena.live.pacing import CHARS_PER_TICK, Pace, Progress

LONGEST_TICKS = 5000


def at(lengths: Sequence[int], tick: int) -> Progress:
    """A side of which `lengths[i]` characters are there at tick i; it ends with the last."""
    return Progress(lengths[min(tick, len(lengths) - 1)], tick >= len(lengths) - 1)


def played(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """`n_shown` at each tick until all is seen."""
    pace = Pace()
    shown = [pace.jump(at(a, 0), at(b, 0))]
    for tick in range(1, LONGEST_TICKS):
        if pace.is_done:
            return shown
        shown.append(pace.advance(at(a, tick), at(b, tick)))
    raise AssertionError("it never ends")


growing = st.lists(st.integers(0, 400), min_size=1, max_size=60).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


@given(growing, growing)
def test_exchanging_how_the_two_arrive_changes_nothing(a: list[int], b: list[int]) -> None:
    assert played(a, b) == played(b, a)


@given(growing, growing)
def test_while_one_writes_no_more_is_seen_of_either_than_both_have(a: list[int], b: list[int]) -> None:
    for tick, n_shown in enumerate(played(a, b)):
        sides = at(a, tick), at(b, tick)
        if not all(side.has_ended for side in sides):
            assert n_shown <= min(side.n_chars for side in sides)


@given(growing, growing)
def test_everything_is_seen_at_the_end_and_nothing_is_taken_back(a: list[int], b: list[int]) -> None:
    shown = played(a, b)
    assert shown[-1] == max(a[-1], b[-1])
    assert shown == sorted(shown)


@given(growing, growing, st.integers(0, 59))
def test_only_what_both_have_decides(a: list[int], b: list[int], at_tick: int) -> None:
    """A burst of the faster side is seen by nobody before the slower one has come as far."""
    n_ticks = max(len(a), len(b)) + 1
    slow = a + [a[-1]] * (n_ticks - len(a))
    fast = [length + 10_000 for length in slow[:-1]] + [slow[-1] + 10_000]
    faster = [length + (5_000 if tick >= at_tick else 0) for tick, length in enumerate(fast[:-1])] + [fast[-1]]
    until_slow_ends = n_ticks - 1
    assert played(slow, fast)[:until_slow_ends] == played(slow, faster)[:until_slow_ends]


def test_a_tick_adds_a_bounded_number_of_characters() -> None:
    shown = played([0, 500], [0, 500])
    assert shown[:4] == [0, CHARS_PER_TICK, 2 * CHARS_PER_TICK, 3 * CHARS_PER_TICK]


def test_of_a_long_text_that_waits_each_tick_shows_an_eighth() -> None:
    assert played([0, 100_000], [0, 100_000])[1] == 12_500


def test_an_answer_without_a_character_ends_too() -> None:
    assert played([0], [0]) == [0]


def test_a_page_that_comes_back_sees_at_once_what_may_be_seen() -> None:
    pace = Pace()
    assert pace.jump(Progress(5000, has_ended=True), Progress(700, has_ended=False)) == 700
    assert not pace.is_done
    assert pace.jump(Progress(5000, has_ended=True), Progress(900, has_ended=True)) == 5000
    assert pace.is_done


@pytest.mark.parametrize("n_shown", [0, 10])
def test_a_text_that_became_shorter_takes_nothing_back(n_shown: int) -> None:
    pace = Pace(n_shown)
    assert pace.advance(Progress(3, has_ended=False), Progress(5, has_ended=False)) == max(n_shown, 3)


def test_the_rest_of_the_longer_one_waits_for_the_slower_one() -> None:
    slow, quick = [10 * tick for tick in range(11)], [100 * tick for tick in range(4)]
    shown = played(slow, quick)  # 100 characters in 10 ticks; 300 would take it 30
    assert shown[11:30] == [100] * 19
    assert shown[30] > 100


def test_of_a_turn_that_was_stopped_no_rest_is_seen() -> None:
    pace = Pace()
    stopped = Progress(500, has_ended=True, was_stopped=True)
    assert pace.jump(stopped, Progress(90, has_ended=True, was_stopped=True)) == 90
    assert pace.is_done
