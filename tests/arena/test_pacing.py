"""The pacing rule by itself: no speed of either side changes what is seen of which."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.arena.live.pacing import (
    CHARS_PER_TICK,
    LONGEST_WAIT_S,
    TICK_S,
    Pace,
    Progress,
    Written,
    rest_at_s,
    rest_seen,
    whole_at_s,
)

LONGEST_TICKS = 5000


def at(lengths: Sequence[int], tick: int) -> Progress:
    """A side of which `lengths[i]` characters are there at tick i; it ends with the last."""
    return Progress(lengths[min(tick, len(lengths) - 1)], tick >= len(lengths) - 1)


def played(a: Sequence[int], b: Sequence[int], *, waits: int = 0) -> list[int]:
    """`n_shown` at each tick until all is seen; the rest is due so many ticks after both have ended."""
    pace = Pace()
    ended_at = max(len(a), len(b)) - 1
    shown = [pace.jump(at(a, 0), at(b, 0), rest=0 if ended_at + waits == 0 else None)]
    for tick in range(1, LONGEST_TICKS):
        if pace.is_done:
            return shown
        shown.append(pace.advance(at(a, tick), at(b, tick), is_rest_due=tick >= ended_at + waits))
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


def test_a_page_that_comes_back_sees_at_once_what_was_seen() -> None:
    pace = Pace()
    longer, shorter = Progress(5000, has_ended=True), Progress(900, has_ended=True)
    assert pace.jump(longer, Progress(700, has_ended=False), rest=None) == 700
    assert pace.jump(longer, shorter, rest=None) == 900
    assert not pace.is_done
    assert pace.jump(longer, shorter, rest=100) == 1000
    assert not pace.is_done
    assert pace.jump(longer, shorter, rest=4100) == 5000
    assert pace.is_done


@pytest.mark.parametrize("n_shown", [0, 10])
def test_a_text_that_became_shorter_takes_nothing_back(n_shown: int) -> None:
    pace = Pace(n_shown)
    sides = Progress(3, has_ended=False), Progress(5, has_ended=False)
    assert pace.advance(*sides, is_rest_due=False) == max(n_shown, 3)


def test_the_rest_of_the_longer_one_is_not_seen_before_it_is_due() -> None:
    shown = played([10 * tick for tick in range(11)], [100 * tick for tick in range(4)], waits=20)
    assert shown[11:30] == [100] * 19
    assert shown[30] > 100


def test_of_a_turn_that_was_stopped_no_rest_is_seen() -> None:
    pace = Pace()
    stopped = Progress(500, has_ended=True, was_stopped=True)
    assert pace.jump(stopped, Progress(90, has_ended=True, was_stopped=True), rest=0) == 90
    assert pace.is_done


# --- When the rest may be seen ----------------------------------------------------------------------------------------


def written(n_chars: int, *, per_s: float, began_s: float = 0.0, n_thoughts: int = 0, **more: bool) -> Written:
    n_written = n_chars + n_thoughts
    return Written(began_s, began_s + n_written / per_s, n_chars, n_written, **more)


speeds = st.floats(20, 2000)
lengths = st.integers(1, 5000)
starts = st.floats(0, 20)


@given(lengths, lengths, speeds, speeds, starts, starts)
def test_exchanging_two_speeds_does_not_change_when_the_rest_is_seen(
    a: int, b: int, one: float, other: float, one_began: float, other_began: float
) -> None:
    as_drawn = written(a, per_s=one, began_s=one_began), written(b, per_s=other, began_s=other_began)
    exchanged = written(a, per_s=other, began_s=other_began), written(b, per_s=one, began_s=one_began)
    waits = [rest_at_s(*pair) - max(side.ended_s for side in pair) for pair in (as_drawn, exchanged)]
    if max(waits) < LONGEST_WAIT_S - 0.001:
        assert rest_at_s(*as_drawn) == pytest.approx(rest_at_s(*exchanged), abs=0.0011)
        assert whole_at_s(*as_drawn) == pytest.approx(whole_at_s(*exchanged), abs=0.0011)


def test_the_rest_comes_when_the_slower_one_would_have_written_it() -> None:
    slow, quick = written(100, per_s=40), written(300, per_s=400)
    assert rest_at_s(slow, quick) == rest_at_s(quick, slow) == 7.5
    assert whole_at_s(slow, quick) == 7.5 + 3 * TICK_S
    assert rest_seen(slow, quick, 7.4) is None
    assert [rest_seen(slow, quick, 7.5 + n * TICK_S) for n in range(5)] == [64, 128, 192, 200, 200]


def test_what_is_not_shown_took_its_time_too() -> None:
    """Three quarters of what it wrote were thoughts, so it writes four times as fast as its answer grew."""
    assert rest_at_s(written(100, per_s=40, n_thoughts=300), written(300, per_s=400)) == 10 + 200 / 40


@pytest.mark.parametrize(
    ("a", "b", "waits_s"),
    [
        (written(100, per_s=1), written(5000, per_s=1000), LONGEST_WAIT_S),
        (written(100, per_s=50), written(100, per_s=1000), 0),
        (Written(0, 5, 0, 0), written(5000, per_s=1000), 0),
        (written(10, per_s=1, was_stopped=True), written(5000, per_s=1000), 0),
        (Written(9, 5, 10, 10), written(20, per_s=4), 0),
    ],
    ids=["for ever", "no rest", "an empty answer", "stopped", "a clock that went back"],
)
def test_nobody_waits_too_long_or_in_vain(a: Written, b: Written, waits_s: float) -> None:
    assert rest_at_s(a, b) == max(a.ended_s, b.ended_s) + waits_s


@given(lengths, lengths, speeds, speeds)
def test_by_the_time_when_all_may_be_seen_all_was_seen(a: int, b: int, one: float, other: float) -> None:
    sides = written(a, per_s=one), written(b, per_s=other)
    assert rest_seen(*sides, whole_at_s(*sides) + 1e-6) == abs(a - b)
    if a != b:
        assert (rest_seen(*sides, whole_at_s(*sides) - TICK_S / 2) or 0) < abs(a - b)
