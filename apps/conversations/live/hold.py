"""A reader's hold on the row of its generation: claim, save, let go, settle. It reads nothing from a worker.

While Postgres is away, saving waits for the next time and the end is tried for some seconds. After that the row stays
unfinished, and the recovery task reads the generation again.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from uuid import UUID, uuid4

from django.db import InterfaceError, OperationalError

from apps.accounts.ledger import generation_forgo
from apps.conversations.live.answer import Answer
from apps.conversations.outcomes import Outcome
from apps.conversations.selectors import reading
from apps.conversations.selectors.reading import ReadingJob
from apps.conversations.services import generations
from apps.conversations.services.generations import Kept
from apps.core.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)
SETTLE_DELAYS_S = (0.5, 1, 2, 4, 8)
LEAVE_THE_END_S = 1.0
"""For so long a reader that does not save leaves the end to the one that does, which also measured it."""


class Hold:
    """One reader's claim. `is_mine` says whether it saves; that may change at each claim and save."""

    def __init__(self, generation_id: UUID, reader_id: UUID | None = None) -> None:
        self.is_mine = False
        self._generation_id = generation_id
        self._reader_id = reader_id or uuid4()
        self._n_saved = 0
        self._under_way: set[asyncio.Task[Any]] = set()

    async def claim(self) -> ReadingJob | None:
        """Try to become the one that saves, and return what is known; None if the conversation was deleted."""
        self.is_mine = await self._in_thread(generations.generation_claim, self._generation_id, self._reader_id)
        job = await in_thread(reading.reading_job_get, self._generation_id)
        if job is not None:
            self._n_saved = len(job.text)
        return job

    async def save(self, answer: Answer, ttft_ms: int | None) -> Kept | None:
        """Renew the claim and save what is new. None if the generation ended or is gone. Raises: DATABASE_AWAY."""
        text, n_chars = self._unsaved(answer), answer.n_chars
        kept = await self._in_thread(
            generations.generation_keep, self._generation_id, self._reader_id, text=text, ttft_ms=ttft_ms
        )
        self.is_mine = kept is not None and kept.is_mine
        if self.is_mine:
            self._n_saved = n_chars
        return kept

    async def release(self, answer: Answer, ttft_ms: int | None) -> None:
        """Let go, so that another process may go on at once instead of waiting for the lease to run out."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        try:
            await in_thread(
                generations.generation_release,
                self._generation_id,
                self._reader_id,
                text=self._unsaved(answer),
                ttft_ms=ttft_ms,
            )
        except DATABASE_AWAY as exc:
            logger.warning("generation %s could not be let go, its lease will run out: %s", self._generation_id, exc)

    async def forgo(self) -> None:
        """No worker was asked and none will be. A row that was deleted has nobody else who gives back what it held."""
        try:
            await in_thread(generation_forgo, self._generation_id)
        except DATABASE_AWAY as exc:
            logger.warning("what generation %s held is left to its end, or to expire: %s", self._generation_id, exc)

    async def settle(self, outcome: Outcome, answer: Answer) -> tuple[Outcome, Answer]:
        """Write the end. Return it, or the one that another process wrote first."""
        for delay_s in (*SETTLE_DELAYS_S, None):
            try:
                if not self.is_mine:
                    await self._leave_the_end()
                written = await in_thread(generations.generation_finish, self._generation_id, outcome, answer.text)
                return (outcome, answer) if written else await self._settled_elsewhere(outcome, answer)
            except DATABASE_AWAY as exc:
                logger.warning("the end of generation %s could not be saved: %s", self._generation_id, exc)
            if delay_s is not None:
                await asyncio.sleep(delay_s)
        return outcome, answer

    async def _leave_the_end(self) -> None:
        for _ in range(4):
            job = await in_thread(reading.reading_job_get, self._generation_id)
            if job is None or job.outcome is not None:
                return
            await asyncio.sleep(LEAVE_THE_END_S / 4)

    async def _settled_elsewhere(self, outcome: Outcome, answer: Answer) -> tuple[Outcome, Answer]:
        job = await in_thread(reading.reading_job_get, self._generation_id)
        if job is None or job.outcome is None:
            return outcome, answer
        return job.outcome, answer if job.text == answer.text else Answer(job.text)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread. When its caller is cancelled it goes on, and what it does must not come after `release`."""
        call = asyncio.create_task(in_thread(function, *args, **kwargs))
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard)
        return await asyncio.shield(call)

    def _unsaved(self, answer: Answer) -> str | None:
        return answer.text if answer.n_chars > self._n_saved else None
