"""A Celery worker's part: take a chunk, work on it while the lease holds, and put its result where it is looked for."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from uuid import UUID, uuid4

from django.db import Error, close_old_connections

from apps.core.errors import SiteError
from apps.datasets.chunks import Task, render_run, result_store, task_run
from apps.datasets.cleaning import code_hash
from apps.datasets.services.shared import LEASE_S, chunk_claim, chunk_ending, chunk_fail, chunk_keep
from apps.datasets.shared.wire import counts_path, rendered_store, work_read
from apps.datasets.steps.base import OptionWrong

logger = logging.getLogger(__name__)


def chunk_run(pk: int) -> None:
    """Do the chunk, unless it is done or somebody else does it. What goes wrong is told to the run in its row."""
    runner = uuid4()
    chunk = chunk_claim(pk, runner, f"{socket.gethostname()}:{os.getpid()}")
    if chunk is None:
        return
    with _kept(pk, runner):
        try:
            _do(pk, runner, Path(chunk.path))
        except SiteError as exc:
            details = {name: str(said) for name, said in exc.details.items()}
            chunk_fail(pk, runner, {"code": exc.code, "details": details, "reason": exc.message})
        except OptionWrong as exc:
            chunk_fail(pk, runner, {"reason": str(exc)})
        except OSError as exc:
            reason = f"{exc.filename or ''} {exc.strerror or exc}".strip()
            chunk_fail(pk, runner, {"errno": exc.errno, "reason": reason})
        except Exception as exc:
            chunk_fail(pk, runner, {"reason": f"{type(exc).__name__}: {exc}"})
            raise


def _do(pk: int, runner: UUID, path: Path) -> None:
    """Raises: OSError, OptionWrong, and what the steps raise."""
    work = work_read(path)
    if work.code != _own_code():
        raise OptionWrong("it runs another version of the site than the one that shares the work: update it")
    task = work.task
    # Elsewhere until it is whole: a worker that was taken for dead may still do the same.
    with TemporaryDirectory(prefix="doing-", dir=task.path.parent) as folder:
        own = Path(folder) / task.path.name
        if isinstance(task, Task):
            result_store(task_run(replace(task, path=own)))
        else:
            rendered_store(render_run(replace(task, path=own)), counts_path(own))
        with chunk_ending(pk, runner) as is_mine:
            # The rows first: with what is said of them the task counts as done.
            for made in sorted(Path(folder).iterdir(), key=lambda made: made != own) if is_mine else ():
                made.replace(task.path.with_name(made.name))


@lru_cache(maxsize=1)
def _own_code() -> str:
    """Of what this process runs: read once, soon after it began."""
    return code_hash()


@contextmanager
def _kept(pk: int, runner: UUID) -> Iterator[None]:
    """Renew the lease meanwhile. A database that is away for a moment does not end it."""
    is_over = Event()

    def keep() -> None:
        while not is_over.wait(LEASE_S / 3):
            close_old_connections()
            try:
                if not chunk_keep(pk, runner):
                    return
            except Error as exc:
                logger.warning("the lease of chunk %s is not renewed: %s", pk, exc)
            finally:
                close_old_connections()

    thread = Thread(target=keep, name="chunk-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
