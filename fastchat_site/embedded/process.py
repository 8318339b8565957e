"""What a child process is and how it is started: always on a leash, always its own session.

It starts one process and says nothing about keeping it alive; that is `supervisor`.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import IO

from .identity import ServiceUser

# For servers that need nothing of ours: no secret of the environment reaches them.
SERVICE_ENV: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
LEASH = Path(__file__).with_name("leash.py")

# Told the last lines that the child wrote, so that a log line can be the sign of readiness.
ReadyCheck = Callable[[Sequence[str]], bool]


def always_ready(_lines: Sequence[str]) -> bool:
    """For commands that end by themselves."""
    return True


def _nothing_to_prepare() -> None:
    return None


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the site, as it is started first and after every death."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: ReadyCheck
    address: str = ""
    user: ServiceUser | None = None
    stop_signal: Signals = signal.SIGTERM
    start_limit_s: float = 60.0
    hurried_stop_s: float = 0.0  # what it still gets after a second Ctrl-C
    prepare: Callable[[], None] = field(default=_nothing_to_prepare)


def leashed(
    argv: Sequence[str], *, user: ServiceUser | None = None, stop_signal: Signals = signal.SIGTERM
) -> list[str]:
    """The command line that runs `argv` as that user and ends it when this process dies."""
    line = [sys.executable, "-I", "-S", str(LEASH), "--parent", str(os.getpid()), "--signal", str(int(stop_signal))]
    if user is not None and user.drops:
        line += ["--user", user.name]
    return [*line, "--", *argv]


def spawn(spec: ProcessSpec, *, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own: Ctrl-C reaches the launcher alone, which stops all in order."""
    if threading.current_thread() is not threading.main_thread():
        # The kernel would end the child together with this thread.
        raise RuntimeError("processes are started from the main thread only")
    return subprocess.Popen(
        leashed(spec.argv, user=spec.user, stop_signal=spec.stop_signal),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(spec.env),
        cwd=spec.cwd,
        start_new_session=True,
    )
