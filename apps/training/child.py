"""The training process as a child: start it, read its messages, pass on a stop, and write down how it ended.

Everything it needs goes through a JSON file and an argument list; no shell. It gets no database and no secret.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, assert_never

from apps.training import services
from apps.training.errors import RunFailed
from apps.training.models import Status, TrainingRun
from gpu_worker.training import messages
from gpu_worker.training.config import TrainingConfig

_ROOT = Path(__file__).resolve().parents[2]
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PASSED_ON_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "TORCH", "HF_", "NCCL_", "MALLOC_")
_RENEW_EVERY_S = 5.0
_STORE_EVERY_S = 1.0

Show = Callable[[messages.Message], None]


def run_child(run: TrainingRun, config: TrainingConfig, arguments: list[str], show: Show) -> Status:
    """Train in a child process until it ends, whatever ends it; returns the status that was stored.

    SIGINT and SIGTERM to this process reach the child, which saves a checkpoint first.

    Raises:
        RunFailed: the child failed or was killed; the row says so.
        RunLost: somebody else closed the row; the child was stopped.
    """
    with tempfile.TemporaryDirectory(prefix="train-") as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config.as_dict()))
        child = _spawn([str(path.resolve()), *arguments])
        try:
            with _SignalsPassedOn(child):
                return _Follower(run, show).follow(child)
        finally:
            _end(child)


def _spawn(arguments: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "gpu_worker", "train", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=_environment(dict(os.environ)),
        # Its own session: a Ctrl-C in the terminal reaches it once, from us, and not also from the terminal.
        start_new_session=True,
    )


def _environment(ours: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in ours.items() if k in _PASSED_ON or k.startswith(_PASSED_ON_PREFIXES)}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Whatever happened here, leave no process behind; give it time for a checkpoint."""
    if child.stdout is not None:
        child.stdout.close()
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class _SignalsPassedOn:
    """Inside the block, SIGINT and SIGTERM go to the child instead of ending this process."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child

    def __enter__(self) -> None:
        self._old = {n: signal.signal(n, self._pass_on) for n in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _pass_on(self, _number: int, _frame: object) -> None:
        if self._child.poll() is None:
            self._child.terminate()


@dataclass(slots=True)
class _Follower:
    """Turns the child's messages into rows. States: preparing, training, ended."""

    run: TrainingRun
    show: Show
    failed: messages.Failed | None = None
    finished: messages.Finished | None = None
    stopped: messages.Stopped | None = None
    _steps: list[messages.StepDone] = field(default_factory=list)
    _stored_at: float = 0.0

    def follow(self, child: "subprocess.Popen[bytes]") -> Status:
        assert child.stdout is not None  # noqa: S101  # narrows the type
        services.training_run_spawned(self.run, child.pid)
        for line in _lines(child.stdout, idle_s=_RENEW_EVERY_S):
            if line is None:
                services.training_run_renew(self.run)
            else:
                self._handle(messages.decode_message(line))
        self._store_steps()
        return self._close(child.wait())

    def _handle(self, message: messages.Message) -> None:
        match message:
            case messages.StepDone():
                self._steps.append(message)
                if time.monotonic() - self._stored_at >= _STORE_EVERY_S:
                    self._store_steps()
            case messages.Started():
                services.training_run_started(self.run, message)
            case messages.Evaluated():
                services.training_run_evaluated(self.run, message)
            case messages.Failed():
                self.failed = message
            case messages.Finished():
                self.finished = message
            case messages.Stopped():
                self.stopped = message
            case messages.Preparing() | messages.Noted() | messages.CheckpointSaved():
                pass
            case _:
                assert_never(message)
        self.show(message)

    def _store_steps(self) -> None:
        if self._steps:
            services.training_steps_record(self.run, self._steps)
            self._steps = []
        self._stored_at = time.monotonic()

    def _close(self, exit_status: int) -> Status:
        if self.finished is not None and exit_status == 0:
            services.training_run_close(self.run, Status.SUCCEEDED)
            return Status.SUCCEEDED
        if self.stopped is not None:
            services.training_run_close(self.run, Status.CANCELLED)
            return Status.CANCELLED
        code, reason = _explain(self.failed, exit_status)
        services.training_run_close(self.run, Status.FAILED, code=code, message=reason)
        raise RunFailed(reason=reason)


def _explain(failed: messages.Failed | None, exit_status: int) -> tuple[str, str]:
    if failed is not None:
        return failed.code, failed.message
    if exit_status < 0:
        name = signal.Signals(-exit_status).name
        return "training.child_killed", f"the training process was killed by {name}; continue with --resume"
    return "training.child_died", f"the training process ended with status {exit_status} and said nothing"


def _lines(stream: IO[bytes], *, idle_s: float) -> Iterator[str | None]:
    """Complete lines as they come; None each time `idle_s` pass without one. Ends with the stream."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(idle_s):
                yield None
                continue
            # os.read returns what is there; the stream's own read would wait for a full buffer.
            received = os.read(stream.fileno(), 65_536)
            if not received:
                return
            *complete, pending = (pending + received).split(b"\n")
            for line in complete:
                yield line.decode()
