"""The state machine of one supervised process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat_site.embedded.lifecycle import (
    GOOD_RUN_S,
    LONGEST_DELAY_S,
    Life,
    State,
    on_end,
    on_ready,
    on_spawn,
    on_stop,
)


def crash(life: Life, *, after_s: float = 0.0) -> Life:
    """Start it, see it ready, see it end."""
    ready = on_ready(on_spawn(life, life.since_s), life.since_s)
    return on_end(ready, ready.since_s + after_s)


def test_a_process_that_was_never_ready_is_not_started_again() -> None:
    assert on_end(on_spawn(Life(), 1.0), 2.0).state is State.CANNOT_START


def test_a_process_that_was_ready_once_is_brought_back_even_if_its_next_start_fails() -> None:
    second = on_spawn(crash(Life()), 5.0)
    assert on_end(second, 6.0).state is State.BACKING_OFF


def test_delays_double_from_a_fifth_of_a_second_to_ten_seconds() -> None:
    life, delays = Life(), []
    for _ in range(8):
        life = crash(life)
        delays.append(life.delay_s)
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])


def test_a_good_run_forgives_what_came_before() -> None:
    life = Life()
    for _ in range(5):
        life = crash(life)
    assert crash(life, after_s=GOOD_RUN_S - 1).failures == 6
    assert crash(life, after_s=GOOD_RUN_S).failures == 1


def test_a_stopped_process_stays_stopped_in_name() -> None:
    assert on_stop(on_ready(on_spawn(Life(), 0.0), 1.0), 2.0).state is State.STOPPED


@given(st.lists(st.floats(min_value=0, max_value=120), max_size=2000))
def test_no_history_makes_a_delay_longer_than_the_limit(runs_s: list[float]) -> None:
    life = Life()
    for run_s in runs_s:
        life = crash(life, after_s=run_s)
        assert 0 < life.delay_s <= LONGEST_DELAY_S
