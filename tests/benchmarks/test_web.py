"""What is read of a browser's trace."""

import pytest

from benchmarks.web_browser import longest_of


def event(name: str, *, pid: int = 1, tid: int = 1, **more: object) -> dict[str, object]:
    return {"name": name, "pid": pid, "tid": tid, **more}


THREADS = [
    event("thread_name", args={"name": "CrRendererMain"}),
    event("thread_name", tid=2, args={"name": "Compositor"}),
    event("thread_name", pid=9, args={"name": "CrRendererMain"}),
]


def test_the_longest_task_is_one_of_the_pages_own_main_thread() -> None:
    trace = [
        *THREADS,
        event("ThreadControllerImpl::RunTask", dur=12_500),
        event("ThreadControllerImpl::RunTask", dur=4_000),
        event("ThreadControllerImpl::RunTask", tid=2, dur=90_000),
        event("ThreadControllerImpl::RunTask", pid=9, dur=80_000),
        event("Layout", dur=70_000),
    ]
    assert longest_of(trace, 1) == 12.5


def test_a_trace_without_the_page_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        longest_of(THREADS, 1)
