"""When a worker that fails is left alone."""

from datetime import UTC, datetime, timedelta

from apps.workers.breaker import RULES, WINDOW, Fault, Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def after(*faults: Fault, n_answers: int = 0) -> timedelta | None:
    """How long a worker cools after the last of these faults."""
    window = Window(NOW)
    for _ in range(n_answers):
        window = window.with_answer(NOW)
    for fault in faults:
        window = window.with_fault(fault, NOW)
    return window.cooling_after(faults[-1])


def test_a_port_that_nobody_listens_on_is_left_alone_at_once() -> None:
    assert after(Fault.UNREACHABLE, n_answers=500) == RULES[Fault.UNREACHABLE].cooling


def test_a_kind_of_fault_counts_only_from_its_minimum_on() -> None:
    assert after(*[Fault.LOST] * 2) is None
    assert after(*[Fault.LOST] * 3) == RULES[Fault.LOST].cooling
    assert after(*[Fault.INTERNAL] * 4) is None
    assert after(*[Fault.INTERNAL] * 5) == RULES[Fault.INTERNAL].cooling
    assert after(*[Fault.LOST] * 2, *[Fault.INTERNAL] * 4) is None


def test_a_worker_that_answers_more_than_it_fails_stays_in() -> None:
    assert after(*[Fault.INTERNAL] * 5, n_answers=6) is None
    assert after(*[Fault.INTERNAL] * 6, n_answers=6) == RULES[Fault.INTERNAL].cooling


def test_a_window_that_is_over_is_forgotten() -> None:
    window = Window(NOW)
    for _ in range(5):
        window = window.with_fault(Fault.INTERNAL, NOW)
    assert window.at(NOW + WINDOW - timedelta(seconds=1)).n_faults == 5
    later = window.with_fault(Fault.INTERNAL, NOW + WINDOW)
    assert (later.n_faults, later.cooling_after(Fault.INTERNAL)) == (1, None)


def test_a_clock_that_was_set_back_starts_a_new_window() -> None:
    assert Window(NOW).with_answer(NOW - timedelta(hours=1)).since == NOW - timedelta(hours=1)
