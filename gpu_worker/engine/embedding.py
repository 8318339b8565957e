"""The engine of an embedding model: a thread that computes the texts of many requests in batches.

`submit` and `cancel` may be called from any thread; a request's vectors arrive at `deliver`, from the engine's thread.
It knows no HTTP and keeps nothing of a request that has ended.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gpu_worker.engine.engine import as_worker_error
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import WorkerErrorCode

Embed = Callable[[Sequence[Sequence[int]]], Tensor]
"""Token ids of texts to vectors `[n, size]`."""

Deliver = Callable[[str, "Tensor | WorkerError"], None]

MAX_BATCH_TOKENS = 4096
"""Padding included. More at once does not compute faster on a CPU, and makes others wait."""


@dataclass(slots=True)
class _Job:
    """A request: its texts, shortest first, and the vectors that are there."""

    id: str
    texts: Sequence[Sequence[int]]
    order: deque[int]
    """Indices of the texts that are still to be computed."""
    vectors: dict[int, Tensor] = field(default_factory=dict)


class EmbeddingEngine:
    """First come, first served; a batch takes texts of several requests."""

    def __init__(self, embed: Embed, deliver: Deliver, *, max_batch: int, max_waiting: int, name: str) -> None:
        """`max_waiting`: requests beyond which none is taken."""
        self._embed = embed
        self._deliver = deliver
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request_id: str, texts: Sequence[Sequence[int]]) -> None:
        """Queue non-empty texts, each within the model's context. Raises: WorkerError (overloaded, shutting_down)."""
        job = _Job(request_id, texts, deque(sorted(range(len(texts)), key=lambda index: len(texts[index]))))
        with self._changed:
            if self._closing:
                raise WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker is shutting down")
            if len(self._jobs) >= self._max_waiting:
                raise WorkerError(
                    WorkerErrorCode.OVERLOADED, f"the model is busy: {len(self._jobs)} requests wait; try again later"
                )
            self._jobs[request_id] = job
            self._changed.notify()

    def cancel(self, request_id: str) -> None:
        """Compute nothing more for a request; nothing of it is delivered. An unknown id is left alone."""
        with self._changed:
            self._jobs.pop(request_id, None)

    @property
    def n_requests(self) -> int:
        return len(self._jobs)

    def close(self, timeout_s: float) -> bool:
        """Stop after the batch that runs; what waits ends with `shutting_down`. False if it does not stop in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._compute(batch)
        error = WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker was shut down")
        for job in list(self._jobs.values()):
            self._end(job, error)

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Texts to compute next, at least one; none: close."""
        with self._changed:
            while not self._closing and not self._jobs:
                self._changed.wait()
            return [] if self._closing else _take(self._jobs.values(), self._max_batch)

    def _compute(self, batch: list[tuple[_Job, int]]) -> None:
        try:
            vectors = self._embed([job.texts[index] for job, index in batch])
        except Exception as exc:  # whatever a model's code raises must not end the thread that serves all
            error = as_worker_error(exc)
            for job in {id(job): job for job, _ in batch}.values():
                self._end(job, error)
            return
        for (job, index), vector in zip(batch, vectors, strict=True):
            job.vectors[index] = vector
        for job in {id(job): job for job, _ in batch}.values():
            if not job.order and len(job.vectors) == len(job.texts):
                self._end(job, _result(job))

    def _end(self, job: _Job, result: Tensor | WorkerError) -> None:
        with self._changed:
            known = self._jobs.pop(job.id, None)
        if known is not None:
            self._deliver(job.id, result)


def _take(jobs: Iterable[_Job], max_batch: int) -> list[tuple[_Job, int]]:
    batch: list[tuple[_Job, int]] = []
    longest = 0
    for job in jobs:
        while job.order:
            longest = max(longest, len(job.texts[job.order[0]]))
            if batch and (len(batch) == max_batch or longest * (len(batch) + 1) > MAX_BATCH_TOKENS):
                return batch
            batch.append((job, job.order.popleft()))
    return batch


def _result(job: _Job) -> Tensor | WorkerError:
    vectors = torch.stack([job.vectors[index] for index in range(len(job.texts))])
    if not bool(vectors.isfinite().all()):
        return WorkerError(WorkerErrorCode.INTERNAL, "the model computed numbers that are not finite")
    return vectors
