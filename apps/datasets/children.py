"""Models that data is asked about, in child processes of the worker's code: the site itself has no GPU stack."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Lock, Thread
from time import monotonic
from typing import IO, Any, ClassVar, TypeVar, cast

from apps.datasets.errors import RecipeWrong

_ROOT = Path(__file__).resolve().parents[2]
_WORDS_BYTES = 500
IDLE_S = 60.0
"""A model takes memory, and seconds to load: longer than from one chunk of a run to the next."""


@dataclass(frozen=True, slots=True)
class _Started:
    """`errors`: a file, because libraries write what they like to stderr, and a full pipe would stop the process."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    is_over: Event


class Child:
    """One child, asked as often as needed: a JSON line for a JSON line.

    It starts with a question. It ends when it is closed, or when nothing was asked for `IDLE_S`, since nobody tells a
    process of jobs which is the last one; the next question starts it again.
    """

    command: ClassVar[str]
    """Of `python -m gpu_worker`."""

    def __init__(self, model: str) -> None:
        self._model = model
        # Jobs may run in threads: each must get its own answer, and get it before the child is closed.
        self._lock = Lock()
        self._started: _Started | None = None
        self._asked_at = 0.0

    def ask(self, texts: Sequence[str]) -> Any:
        """Raises: RecipeWrong: the model cannot be used, and why."""
        with self._lock:
            try:
                answer = self._answer(self._running(), json.dumps(list(texts)).encode() + b"\n")
            except BaseException:
                self._end()  # what is left of this answer would be taken for that of the next question
                raise
            self._asked_at = monotonic()
        return answer

    def close(self) -> None:
        """After the answer that somebody waits for."""
        with self._lock:
            self._end()

    def _argv(self) -> list[str]:
        return [sys.executable, "-m", "gpu_worker", self.command, self._model]

    def _running(self) -> _Started:
        if self._started is not None and self._started.process.poll() is not None:
            self._end()
        if self._started is None:
            self._started = _started(self._argv())
            Thread(target=self._close_when_idle, args=(self._started,), name="child-idle", daemon=True).start()
        return self._started

    def _answer(self, started: _Started, question: bytes) -> Any:
        stdin, stdout = started.process.stdin, started.process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101  # both are pipes
        try:
            stdin.write(question)
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):  # none of it, or a part: the process has ended
            raise RecipeWrong(reason=_last_words(started))
        try:
            return json.loads(line)
        except ValueError as exc:
            raise RecipeWrong(reason="the process that was asked gave an answer that cannot be read") from exc

    def _close_when_idle(self, started: _Started) -> None:
        left = IDLE_S
        while not started.is_over.wait(left):
            with self._lock:
                left = self._asked_at + IDLE_S - monotonic()
                if left <= 0 and self._started is started:
                    self._end()

    def _end(self) -> None:
        """Within the lock."""
        if (started := self._started) is None:
            return
        self._started = None
        started.is_over.set()
        started.process.kill()
        started.process.communicate()
        started.errors.close()


def _started(argv: Sequence[str]) -> _Started:
    errors = TemporaryFile()  # noqa: SIM115  # closed with the process
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        # One thread, so that the same sum comes out wherever a chunk is worked on, and each process has a core.
        env={
            "PYTHONPATH": str(_ROOT),
            "RAYON_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PATH": "",
        },
    )
    return _Started(process, errors, Event())


def _last_words(started: _Started) -> str:
    started.process.wait()
    size = started.errors.seek(0, 2)
    started.errors.seek(max(0, size - _WORDS_BYTES))
    words = started.errors.read().decode(errors="replace").strip()
    return words or "the process that was asked ended by itself"


_Known = tuple[int, ...]
"""Which model it is: another one in the same folder is asked anew."""
_children: dict[tuple[type[Child], str], tuple[_Known, Child]] = {}
_choosing = Lock()
ChildT = TypeVar("ChildT", bound=Child)


def child_of(kind: type[ChildT], model: str, files: Iterable[Path]) -> ChildT:
    """This process's child for a model folder.

    `files`: of the folder, which tell one model from another. Raises: RecipeWrong: they are there no more.
    """
    try:
        known = tuple(number for path in files for number in _told_apart(path.stat()))
    except OSError as exc:
        raise RecipeWrong(reason=f"{exc.filename}: {exc.strerror}") from exc
    key = kind, model
    before = None
    with _choosing:
        if key in _children and _children[key][0] != known:
            _, before = _children.pop(key)
        if key not in _children:
            _children[key] = known, kind(model)
        _, child = _children[key]
    if before is not None:
        before.close()
    return cast(ChildT, child)


def _told_apart(stat: os.stat_result) -> _Known:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def children_close() -> None:
    with _choosing:
        closed = [child for _, child in _children.values()]
        _children.clear()
    for child in closed:
        child.close()
