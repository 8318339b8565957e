"""Where the tasks of a run are done: in processes of this one, or elsewhere by the same protocol."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Protocol, TypeVar

from apps.datasets.children import children_close
from apps.datasets.errors import WorkerLost

T = TypeVar("T")
R = TypeVar("R")


class Pool(Protocol):
    """Where tasks are done."""

    def in_order(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Results in the order of the tasks, of which a few are under way at a time."""
        ...


class _Pool:
    """Tasks in other processes, a few at a time, with their results in order."""

    def __init__(self, executor: ProcessPoolExecutor | None, n_workers: int) -> None:
        self._executor, self._ahead = executor, 2 * n_workers

    def in_order(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Raises: WorkerLost, and what `work` raises."""
        if self._executor is None:
            yield from map(work, tasks)
            return
        waiting: deque[Future[R]] = deque()
        try:
            for task in tasks:
                waiting.append(self._executor.submit(work, task))
                if len(waiting) >= self._ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as exc:
            raise WorkerLost from exc
        finally:
            for future in waiting:
                future.cancel()


_PRELOADED = ["__main__", "apps.datasets.chunks", "apps.datasets.steps.all"]
"""With the main module: each worker would load it again."""


def server_start() -> None:
    """The process that is copied for each worker: without Django and threads, so that a copy inherits no lock.

    Whoever starts it early loads what else is needed while it loads what the workers need.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


@contextmanager
def processes(n_workers: int) -> Iterator[Pool]:
    if n_workers == 1:
        try:
            yield _Pool(None, 1)
        finally:
            children_close()
        return
    server_start()
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent) as executor:
        yield _Pool(executor, n_workers)


def _end_with_parent() -> None:
    """A run that is killed leaves no process behind, which would wait for more work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
