"""The supervisor, with small real processes."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fastchat_site.embedded.errors import ProcessCannotStart
from fastchat_site.embedded.process import ProcessSpec, always_ready
from fastchat_site.embedded.readiness import LogsLine
from fastchat_site.embedded.supervisor import Supervisor

from .support import PYTHON, family, read_line, runs, started_python, wait_until_gone

UP_AND_WAIT = "import signal; print('up', flush=True); signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""
SLOW_TO_END = """
import signal, sys, time
def end(*_):
    time.sleep(0.3)
    print("closed")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    signal.pause()
"""
WITH_CHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
signal.pause()
"""


SAYS_UP = LogsLine("up|child")


class News:
    """What the supervisor said, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, name: str, words: str) -> None:
        self.lines.append(f"{name}: {words}")

    def count(self, beginning: str) -> int:
        return sum(line.startswith(beginning) for line in self.lines)


@pytest.fixture
def news() -> News:
    return News()


def spec(
    name: str,
    script: str,
    *,
    ready: Callable[[Sequence[str]], bool] = SAYS_UP,
    start_limit_s: float = 10.0,
) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        argv=(*PYTHON, script),
        env=dict(os.environ),
        cwd=Path("/"),
        ready=ready,
        start_limit_s=start_limit_s,
    )


async def holds(condition: Callable[[], object], *, limit_s: float = 10.0) -> None:
    """Let the loop run until the condition holds."""

    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 - a condition on the outside world sets no event
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), limit_s)


async def fails(start: Awaitable[None]) -> str:
    with pytest.raises(ProcessCannotStart) as caught:
        await start
    return str(caught.value)


async def test_a_process_that_dies_is_brought_back_and_its_neighbour_left_alone(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.start([spec("a", UP_AND_WAIT), spec("b", UP_AND_WAIT)])
        before = supervisor.pids
        os.kill(before["a"], signal.SIGKILL)
        await holds(lambda: news.count("a: ready") == 2)
        assert supervisor.pids["a"] != before["a"]
        assert supervisor.pids["b"] == before["b"]
    assert "a: was ended by SIGKILL; starts again in 0.2 s" in news.lines


async def test_a_process_that_keeps_dying_is_started_after_ever_longer_waits(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.start([spec("a", UP_AND_WAIT)])
        for delay in ("0.2", "0.4", "0.8"):
            os.kill(supervisor.pids["a"], signal.SIGKILL)
            await holds(partial(news.lines.__contains__, f"a: was ended by SIGKILL; starts again in {delay} s"))
            await holds(lambda: "a" in supervisor.pids and news.lines[-1].startswith("a: ready"))


async def test_a_process_that_ends_before_it_is_ready_fails_with_its_last_lines(tmp_path: Path, news: News) -> None:
    script = "import sys\nfor number in range(30): print('line', number, flush=True)\nsys.exit('no such database')"
    async with Supervisor(tmp_path, say=news) as supervisor:
        words = await fails(supervisor.start([spec("web", script), spec("jobs", UP_AND_WAIT)]))
        await holds(lambda: "jobs" in supervisor.pids)
        neighbour = supervisor.pids["jobs"]
    assert words.startswith(f"web ended with status 1 before it was ready. The end of {tmp_path / 'web.log'}:")
    assert words.count("\n") == 20
    assert "  line 11\n" in words
    assert words.endswith("  no such database")
    assert not runs(neighbour)


async def test_a_process_that_takes_too_long_is_ended_and_named(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        words = await fails(supervisor.start([spec("web", UP_AND_WAIT, ready=lambda _: False, start_limit_s=0.3)]))
        assert supervisor.pids == {}
    assert words.startswith("web was not ready within 0 s")


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path, news: News) -> None:
    missing = ProcessSpec(name="web", argv=("/no/such/program",), env={}, cwd=Path("/"), ready=LogsLine("never"))
    async with Supervisor(tmp_path, say=news) as supervisor:
        words = await fails(supervisor.start([missing]))
    assert "cannot run /no/such/program: No such file or directory" in words


async def test_a_command_that_fails_raises_with_its_last_lines(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.run_once(spec("migrate", "print('fine')", ready=always_ready))
        words = await fails(supervisor.run_once(spec("migrate", "raise SystemExit('column missing')")))
    assert words.endswith("  column missing")
    assert news.count("migrate: done in") == 1


async def test_layers_are_stopped_in_reverse(tmp_path: Path, news: News) -> None:
    stamp = "import signal, sys, time\ndef end(*_):\n  print('end', time.monotonic_ns()); sys.exit()\n"
    script = stamp + "signal.signal(signal.SIGTERM, end); print('up', flush=True)\nwhile True: signal.pause()"
    async with Supervisor(tmp_path, say=news) as supervisor:
        for name in ("postgres", "web"):
            await supervisor.start([spec(name, script)])
    ends = {name: int((tmp_path / f"{name}.log").read_text().split("end")[1]) for name in ("postgres", "web")}
    assert ends["web"] < ends["postgres"]


async def test_a_process_deaf_to_sigterm_is_killed_at_the_limit(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news, stop_limit_s=0.5) as supervisor:
        await supervisor.start([spec("web", DEAF)])
        pid = supervisor.pids["web"]
    assert not runs(pid)
    assert "web: did not end in time: killed" in news.lines


async def test_losing_patience_kills_a_deaf_process_at_once(tmp_path: Path, news: News) -> None:
    async with asyncio.timeout(60), Supervisor(tmp_path, say=news, stop_limit_s=3600) as supervisor:
        await supervisor.start([spec("web", DEAF)])
        asyncio.get_running_loop().call_later(0.1, supervisor.hurry)


async def test_a_database_may_close_its_files_even_without_patience(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.start([replace(spec("postgres", SLOW_TO_END), hurried_stop_s=10.0)])
        supervisor.hurry()
    assert (tmp_path / "postgres.log").read_text().endswith("closed\n")


async def test_nothing_starts_any_more_once_the_stop_has_begun(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.start([spec("web", DEAF)])
        stop = asyncio.create_task(supervisor.stop())
        await holds(lambda: supervisor.is_stopping)
        with pytest.raises(asyncio.CancelledError):
            await supervisor.start([spec("jobs", UP_AND_WAIT)])
        supervisor.hurry()
        await stop
        assert supervisor.pids == {}


async def test_what_a_dead_process_started_dies_before_it_is_brought_back(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.start([spec("jobs", WITH_CHILD)])
        grandchild = int((tmp_path / "jobs.log").read_text().split()[1])
        os.kill(supervisor.pids["jobs"], signal.SIGKILL)
        await holds(lambda: news.count("jobs: ready") == 2)
        assert not runs(grandchild)


async def test_lines_written_just_before_the_end_are_in_the_log(tmp_path: Path, news: News) -> None:
    async with Supervisor(tmp_path, say=news) as supervisor:
        await supervisor.run_once(spec("migrate", "import sys; sys.stdout.write('x' * 300_000 + 'last words')"))
    assert (tmp_path / "migrate.log").read_text() == "x" * 300_000 + "last words"


SUPERVISE = """
import asyncio, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from fastchat_site.embedded.supervisor import Supervisor
from tests.embedded.test_supervisor import DEAF, WITH_CHILD, spec
async def main():
    async with Supervisor(Path(sys.argv[1]), say=lambda name, words: None, warden_limit_s=1.0) as supervisor:
        await supervisor.start([spec("deaf", DEAF), spec("jobs", WITH_CHILD)])
        print('up', flush=True)
        await supervisor.watch()
asyncio.run(main())
"""


@pytest.mark.processes
def test_a_killed_supervisor_leaves_neither_deaf_children_nor_grandchildren(tmp_path: Path) -> None:
    with started_python(SUPERVISE, str(tmp_path)) as owner:
        assert read_line(owner) == "up"
        pids = family(owner.pid)
        assert len(pids) == 5  # itself, the warden, two children, a grandchild
    wait_until_gone(pids)
