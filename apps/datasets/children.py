"""Models that data is asked about, in child processes of the worker's code: the site itself has no GPU stack."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, ClassVar, TypeVar, cast

from apps.datasets.errors import RecipeWrong

_ROOT = Path(__file__).resolve().parents[2]
_WORDS_BYTES = 500


class Child:
    """One child, asked as often as needed: a JSON line for a JSON line. Close it."""

    command: ClassVar[str]
    """Of `python -m gpu_worker`."""

    def __init__(self, model: str) -> None:
        self._lock = Lock()
        # A file, because libraries write what they like to stderr, and a full pipe would stop the child.
        self._errors = TemporaryFile()  # noqa: SIM115  # `close` closes it
        self._child = subprocess.Popen(
            [sys.executable, "-m", "gpu_worker", self.command, model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
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

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def ask(self, texts: Sequence[str]) -> Any:
        """Raises: RecipeWrong: the model cannot be used, and why."""
        assert self._child.stdin is not None and self._child.stdout is not None  # noqa: S101  # both are pipes
        with self._lock:  # jobs may run in threads, and each must get its own answer
            try:
                self._child.stdin.write(json.dumps(list(texts)).encode() + b"\n")
                self._child.stdin.flush()
                answer = self._child.stdout.readline()
            except BrokenPipeError:
                answer = b""
            if not answer:
                raise RecipeWrong(reason=self._last_words())
        return json.loads(answer)

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()
        self._errors.close()

    def _last_words(self) -> str:
        self._child.wait()
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - _WORDS_BYTES))
        words = self._errors.read().decode(errors="replace").strip()
        return words or "the process that was asked ended by itself"


_Known = tuple[int, ...]
"""Which model it is: another one in the same folder is asked anew."""
_children: dict[tuple[type[Child], str], tuple[_Known, Child]] = {}
_starting = Lock()
ChildT = TypeVar("ChildT", bound=Child)


def child_of(kind: type[ChildT], model: str, files: Iterable[Path]) -> ChildT:
    """This process's child for a model folder, started with the first question, and again when it has ended.

    `files`: of the folder, which tell one model from another. Raises: RecipeWrong: they are there no more.
    """
    try:
        known = tuple(number for path in files for number in _told_apart(path.stat()))
    except OSError as exc:
        raise RecipeWrong(reason=f"{exc.filename}: {exc.strerror}") from exc
    key = kind, model
    with _starting:
        if key in _children and (_children[key][0] != known or _children[key][1].has_ended):
            _children.pop(key)[1].close()
        if key not in _children:
            _children[key] = known, kind(model)
        return cast(ChildT, _children[key][1])


def _told_apart(stat: os.stat_result) -> _Known:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def children_close() -> None:
    for _, child in _children.values():
        child.close()
    _children.clear()
