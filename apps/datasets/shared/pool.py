"""The side that shares the work: sends chunks to Celery workers and takes their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar, cast

from kombu.exceptions import OperationalError

from apps.datasets.chunks import RenderTask, Task
from apps.datasets.cleaning import code_hash
from apps.datasets.errors import ChunkFailed, DatasetError, WorkerLost
from apps.datasets.models import SharedChunk
from apps.datasets.services.shared import chunk_add, chunk_failed, chunk_given_up, chunks_forget, chunks_lost
from apps.datasets.shared.wire import Work, result_of, work_write
from apps.datasets.tasks import chunk_run_task

AHEAD = 64
"""Chunks that are on their way at a time: as many workers can work, and as much disk is needed."""
_LOOK_EVERY_S = 0.1
_LOST_EVERY_S = 1.0

T = TypeVar("T")
R = TypeVar("R")


class SharedPool:
    """Chunks of one run on Celery workers. `folder`: of the run, seen by all of them under this path."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._code = str(folder.resolve()), code_hash()
        self._looked_at = 0.0

    def in_order(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """The results of `work`, which each worker finds again by the kind of the task.

        Raises: WorkerLost, ChunkFailed, OSError, and the errors of data that `work` raises.
        """
        waiting: deque[Task | RenderTask] = deque()
        for task in cast(Iterable[Task | RenderTask], tasks):
            if result_of(task) is None:
                self._send(task)
            waiting.append(task)
            if len(waiting) >= AHEAD:
                yield cast(R, self._result(waiting.popleft()))
        while waiting:
            yield cast(R, self._result(waiting.popleft()))

    def _send(self, task: Task | RenderTask) -> None:
        path = _work_path(task)
        work_write(Work(task, self._code), path)
        self._publish(chunk_add(self.folder, str(path)))

    def _publish(self, pk: int) -> None:
        try:
            chunk_run_task.delay(pk)
        except OperationalError:
            return  # while the broker is away it waits, and is sent again

    def _result(self, task: Task | RenderTask) -> object:
        while (result := result_of(task)) is None:
            self.look_after_chunks()
            sleep(_LOOK_EVERY_S)
        path = _work_path(task)
        SharedChunk.objects.filter(path=str(path)).delete()
        path.unlink(missing_ok=True)
        return result

    def look_after_chunks(self) -> None:
        """Send again what was lost. Raises: as `in_order`."""
        if (failed := chunk_failed(self.folder)) is not None:
            raise _error_of(failed)
        if monotonic() - self._looked_at < _LOST_EVERY_S:
            return
        self._looked_at = monotonic()
        if chunk_given_up(self.folder) is not None:
            raise WorkerLost
        for pk in chunks_lost(self.folder):
            self._publish(pk)


@contextmanager
def shared_pool(folder: Path) -> Iterator[SharedPool]:
    """`folder`: of the run, as `recipe_run` gives it. What an earlier run has left in the queue is forgotten."""
    pool = SharedPool(folder)
    chunks_forget(pool.folder)
    try:
        yield pool
    finally:
        chunks_forget(pool.folder)


def _work_path(task: Task | RenderTask) -> Path:
    return task.path.with_suffix(".work").resolve()


def _error_of(chunk: SharedChunk) -> Exception:
    """As the worker met it."""
    error = chunk.error or {}
    for kind in DatasetError.__subclasses__():
        if kind.code == error.get("code"):
            return kind(**error["details"])
    if error.get("errno") is not None:
        return OSError(error["errno"], f"{error['reason']} ({chunk.worker})")
    return ChunkFailed(worker=chunk.worker, reason=error.get("reason"))
