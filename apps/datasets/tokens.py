"""Counting tokens by the tokenizer of a model folder, in a child process: the site has no tokenizer of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from apps.datasets.errors import RecipeWrong

_ROOT = Path(__file__).resolve().parents[2]


class TokenCounter:
    """One child, asked as often as needed. Close it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = Lock()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "gpu_worker", "count-tokens", model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(_ROOT), "RAYON_NUM_THREADS": "1", "PATH": ""},
        )

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def count(self, texts: Sequence[str]) -> list[int]:
        """Raises: RecipeWrong: the folder has no tokenizer that can be read."""
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
        counts: list[int] = json.loads(answer)
        return counts

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _last_words(self) -> str:
        _, errors = self._child.communicate()
        return errors.decode(errors="replace").strip()[-500:] or "the tokenizer's process ended by itself"


_Known = tuple[int, ...]
"""Which tokenizer it is: another one in the same folder is counted by anew."""
_counters: dict[str, tuple[_Known, TokenCounter]] = {}
_starting = Lock()


def counter_of(model: str) -> TokenCounter:
    """This process's counter for a model folder, started with the first question, and again when its child has ended.

    Raises: RecipeWrong: there is no tokenizer any more.
    """
    path = Path(model) / "tokenizer.json"
    try:
        stat = path.stat()
    except OSError as exc:
        raise RecipeWrong(reason=f"{path}: {exc.strerror}") from exc
    known = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    with _starting:
        if model in _counters and (_counters[model][0] != known or _counters[model][1].has_ended):
            _counters.pop(model)[1].close()
        if model not in _counters:
            _counters[model] = known, TokenCounter(model)
        return _counters[model][1]


def counters_close() -> None:
    for _, counter in _counters.values():
        counter.close()
    _counters.clear()
