"""Helpers for tests that look at real processes from the outside."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fastchat_site.embedded.identity import ServiceUser

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-I", "-S", "-c")


def wait_for(condition: Callable[[], object], *, limit_s: float = 30.0, what: str = "the condition") -> None:
    """Look again and again until it holds; a test that gets past here has seen it hold."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {limit_s:.0f} s")
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that nobody collected."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: Iterable[int], *, limit_s: float = 20.0) -> None:
    """The promise of the launcher: nothing is left 20 s after its end, whichever way it ended."""
    pids = list(pids)
    wait_for(lambda: not any(map(runs, pids)), limit_s=limit_s, what=f"the end of all of {pids}")


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def command_line(process: psutil.Process) -> list[str]:
    """Empty for a process that ends this instant, as backends of Postgres do all the time."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


@contextmanager
def started_python(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script of the test's own beside the test, with the site importable; killed at the end if it still runs."""
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, cwd=REPOSITORY, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line that the script prints."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def python_for(user: ServiceUser) -> list[str] | None:
    """A Python of our version that this user can run and which finds our packages, if there is one."""
    packages = Path(psutil.__file__).parents[1]
    for candidate in (Path(sys.executable), Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")):
        if user.can("-x", candidate) and user.can("-r", packages) and user.can("-r", REPOSITORY):
            return ["env", f"PYTHONPATH={REPOSITORY}:{packages}", str(candidate)]
    return None
