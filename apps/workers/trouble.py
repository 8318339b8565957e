"""What went wrong with one request: each attempt and its cause, whether waiting may help, and what is said in the end.

It books nothing and asks nobody; that is `request`.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from apps.core.errors import SiteError
from apps.workers.breaker import Fault
from apps.workers.errors import (
    ProviderLoading,
    ProviderResting,
    ProvidersFull,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerTimedOut,
    WorkerUnreachable,
)
from apps.workers.target import Target
from apps.workers.transport import TransportFailed

Failed = TransportFailed | WorkerInternal | WorkerMismatch | WorkerOverloaded

MAX_ATTEMPTS_KEPT = 20
"""In the request's row."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt failed. `fault`: what is held against the worker. `rest_s`: how long a provider wants to rest."""

    words: str
    fault: Fault | None = None
    rest_s: int | None = None


class Trouble:
    """Of one request for a model."""

    def __init__(self, model: str) -> None:
        self.attempts: list[dict[str, object]] = []
        """For the log."""
        self.are_gone = True
        """All that were tried are gone, and may be restarting."""
        self._model = model
        self._failures: list[str] = []
        self._overloaded: WorkerOverloaded | None = None
        self._was_silence = False
        self._broke_off: set[int] = set()
        self._since: float | None = None

    def note(self, target: Target, error: Failed, now: datetime) -> Cause:
        """Keep that this worker failed."""
        self._since = self._since or time.monotonic()
        cause = self._cause(error)
        self.are_gone &= self._may_return(target, error)
        if len(self.attempts) < MAX_ATTEMPTS_KEPT:
            note = {"at": now.isoformat(), "worker": target.worker_id, "cause": cause.words[:300]}
            self.attempts.append(note)
        words = f"worker {target.worker_id}: {cause.words}"
        if words not in self._failures:
            self._failures.append(words)
        return cause

    def may_pass(self, found: SiteError | None, patience_s: float) -> bool:
        """Whether it helps to wait; `found` says why there is nobody else.

        Workers that are gone may be restarting, and a provider that is full has room when one of its answers ends.
        Others that fail are there, and waiting helps nobody.
        """
        may_change = self.are_gone or isinstance(found, ProvidersFull)
        return self._since is not None and may_change and time.monotonic() < self._since + patience_s

    def last_word(self, found: SiteError | None) -> SiteError:
        """What whoever asked is told, when nobody is left to be tried."""
        # The workers that failed may have left meanwhile; why they failed says more.
        if found is not None and not self._failures:
            return found
        attempts = "; ".join(self._failures)
        logger.warning("no worker took a request for %s: %s", self._model, attempts)
        # A full queue is the best news: somebody is there.
        if isinstance(found, ProvidersFull):
            return found
        if self._overloaded is not None:
            return self._overloaded
        error = WorkerTimedOut if self._was_silence else WorkerUnreachable
        return error(model=self._model, attempts=attempts)

    def _cause(self, error: Failed) -> Cause:
        match error:
            case TransportFailed():
                self._was_silence |= error.is_silence
                return Cause(str(error), error.fault)
            case WorkerInternal():
                return Cause(str(error.details["reason"]), Fault.INTERNAL)
            case WorkerMismatch():
                return Cause(str(error.details["reason"]))
            case ProviderResting():
                self._overloaded = self._named(error)
                return Cause(str(error.details["reason"]), rest_s=int(str(error.details["retry_after_s"])))
            case ProviderLoading():
                self._overloaded = self._named(error)
                return Cause("loading its model")
            case WorkerOverloaded():
                self._overloaded = self._named(error)
                return Cause("queue full")

    def _may_return(self, target: Target, error: Failed) -> bool:
        """Whether a worker that failed so may be there in a moment, and then serve."""
        match error:
            case TransportFailed() if target.upstream is not None and error.fault is Fault.LOST:
                # Chance once; but a provider that takes a request computes it, and is paid, each time.
                is_new = target.worker_id not in self._broke_off
                self._broke_off.add(target.worker_id)
                return is_new and not error.is_silence
            case TransportFailed():
                # Whoever took a request and is silent has it to compute; asked again it has it twice, and is silent.
                return not error.is_silence
            case WorkerMismatch():
                # A worker of ours may be loading the model; a provider will not have it in a moment either.
                return target.upstream is None
            case ProviderLoading():
                return True
            case _:
                return False

    def _named(self, error: WorkerOverloaded) -> WorkerOverloaded:
        """Who talks to a worker does not know by which name the model was asked for."""
        error.details["model"] = self._model
        return error
