"""The generations that can be read again by their id, while they run and for some minutes after.

Lives on the event loop's thread. It does not end them.
"""

import time
from collections import OrderedDict

from gpu_worker.errors import WorkerError
from gpu_worker.protocol import GENERATION_KEPT_S, WorkerErrorCode
from gpu_worker.server.generations import Generation

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 256 * 1024 * 1024


class GenerationStore:
    """Generations by their id, while they run and for some minutes after.

    What happens at the bounds: of the ended ones the oldest are dropped early; one that runs is never dropped.
    """

    def __init__(self, *, max_kept: int = MAX_KEPT, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept = max_kept
        self._max_kept_bytes = max_kept_bytes
        self._running: dict[str, Generation] = {}
        self._ended: OrderedDict[str, tuple[float, Generation]] = OrderedDict()
        self._ended_bytes = 0

    def refuse_known(self, generation_id: str) -> None:
        """Raises: WorkerError (generation_exists)."""
        self.prune()
        if generation_id in self._running or generation_id in self._ended:
            raise WorkerError(
                WorkerErrorCode.GENERATION_EXISTS,
                f"a generation with the id {generation_id} exists; attach to its events instead",
                param="generation_id",
            )

    def add(self, generation_id: str, generation: Generation) -> None:
        """Raises: WorkerError (generation_exists)."""
        self.refuse_known(generation_id)
        self._running[generation_id] = generation

    def get(self, generation_id: str) -> Generation:
        """Raises: WorkerError (generation_not_found)."""
        self.prune()
        found = self._running.get(generation_id)
        if found is None and generation_id in self._ended:
            found = self._ended[generation_id][1]
        if found is None:
            raise WorkerError(WorkerErrorCode.GENERATION_NOT_FOUND, f"there is no generation {generation_id[:40]} here")
        return found

    def end(self, generation_id: str) -> None:
        """Start the clock after which an ended generation is forgotten."""
        generation = self._running.pop(generation_id, None)
        if generation is not None:
            self._ended[generation_id] = (time.monotonic() + GENERATION_KEPT_S, generation)
            self._ended_bytes += generation.n_bytes
        self.prune()

    def prune(self) -> None:
        """Drop what is over its time or over the bounds: the oldest first."""
        now = time.monotonic()
        while self._ended:
            expires_at, oldest = next(iter(self._ended.values()))
            is_over = len(self._ended) > self._max_kept or self._ended_bytes > self._max_kept_bytes
            if expires_at > now and not is_over:
                return
            self._ended.popitem(last=False)
            self._ended_bytes -= oldest.n_bytes
