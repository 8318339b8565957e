"""Work on responses in the background: ask for them, many at once, and keep what comes.

A generation at a worker outlives whoever reads it. So a runner that dies loses nothing: the next one reads the same
generation from its start. What nobody can answer now is put back, and tried for an hour.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from uuid import uuid4

from django.utils import timezone

from apps.accounts.ledger import generation_forgo
from apps.core.errors import SiteError, Whose
from apps.core.middleware import request_id_var
from apps.core.threads import in_thread
from apps.openai_api.models import ResponseState, StoredResponse
from apps.openai_api.moderation import answer_gate
from apps.openai_api.responses.assembly import Outcome
from apps.openai_api.responses.preparing import Prepared, actor_of, response_resume
from apps.openai_api.responses.request import refused_here
from apps.openai_api.responses.shapes import response_id
from apps.openai_api.responses.streaming import assembly_of, error_of, tried
from apps.openai_api.selectors import responses_in_work, responses_waiting
from apps.openai_api.services import responses
from apps.workers import relay
from apps.workers.errors import GenerationGone, WorkerDied, WorkerRefused
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.request import DATABASE_AWAY
from apps.workers.target import Target

AT_ONCE = 32
LOOK_EVERY_S = 0.5
TRY_AGAIN_AFTER_S = 5.0
TRIED_FOR = timedelta(hours=1)
STOP_PATIENCE_S = 5.0
"""For a worker to end what was cancelled, so that it is known what it used."""

logger = logging.getLogger(__name__)


def responses_run() -> int:
    """Answer what waits, and what comes meanwhile. Return how many were taken on; none if another runner has room."""
    responses.responses_lose()
    if not responses_waiting() or 0 < responses_in_work() < AT_ONCE:
        return 0
    return asyncio.run(_Runner().run())


class _Runner:
    def __init__(self) -> None:
        self._id = uuid4()
        self._in_work: dict[asyncio.Task[None], _Work] = {}
        self._n_taken = 0

    async def run(self) -> int:
        while True:
            try:
                await self._look()
            except DATABASE_AWAY as exc:
                logger.warning("background responses cannot be looked at, trying again: %s", exc)
            if not self._in_work:
                return self._n_taken
            ended, _ = await asyncio.wait(self._in_work, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                work = self._in_work.pop(task)
                if (problem := task.exception()) is not None:
                    logger.error("%s is left to the next runner", work.response, exc_info=problem)

    async def _look(self) -> None:
        """Keep what is in work, stop what nobody wants any more, and take on more."""
        if self._in_work:
            by_pk = {work.response.pk: work for work in self._in_work.values()}
            wanted = await in_thread(responses.responses_wanted, self._id, list(by_pk))
            if lost := by_pk.keys() - wanted:
                taken = await in_thread(responses.responses_taken, self._id, list(lost))
                for pk in taken:
                    by_pk[pk].leave()
                for pk in lost - taken:
                    by_pk[pk].is_unwanted.set()
        room = AT_ONCE - len(self._in_work)
        if room:
            for response in await in_thread(responses.responses_claim, self._id, room):
                work = _Work(response)
                self._in_work[asyncio.create_task(work.run(), name=f"answer {response}")] = work
                self._n_taken += 1


class _Work:
    """One response in work."""

    def __init__(self, response: StoredResponse) -> None:
        self.response = response
        self.is_unwanted = asyncio.Event()
        self._assembly = assembly_of(response)
        self._gate = answer_gate(actor_of(response))
        self._target: Target | None = None
        self._reading: asyncio.Task[None] | None = None
        self._is_left = False

    def leave(self) -> None:
        """Somebody else reads the same generation and ends the response: cancel nothing, and write nothing."""
        self._is_left = True
        if self._reading is not None:
            self._reading.cancel()

    async def run(self) -> None:
        """Raises: what the database raises, when it stays away."""
        request_id_var.set(response_id(self.response.public_id))
        reading = self._reading = asyncio.create_task(self._read())
        stopping = asyncio.create_task(self._stop_when_unwanted(reading))
        await asyncio.wait({reading})
        stopping.cancel()
        problem = None if reading.cancelled() else reading.exception()
        if self._is_left:
            logger.warning("%s was taken over by another runner", self.response)
        elif self.is_unwanted.is_set():
            await self._end_unwanted()
        elif problem is None:
            await self._end(self._assembly.close()[1])
        elif self._may_be_tried_again(problem):
            logger.info("%s waits: %s", self.response, problem)
            await tried(partial(responses.response_put_back, self.response, after_s=TRY_AGAIN_AFTER_S))
        elif isinstance(problem, Exception):
            await self._end(self._assembly.close(error=error_of(problem))[1])
        else:
            raise problem

    async def _end(self, outcome: Outcome) -> None:
        await self._gate.close()
        await tried(partial(responses.response_end, self.response, outcome))

    async def _end_unwanted(self) -> None:
        if self._target is None:
            await tried(partial(generation_forgo, self.response.public_id))
        await self._end(self._assembly.close(ResponseState.CANCELLED)[1])

    async def _read(self) -> None:
        prepared = await in_thread(response_resume, self.response)
        if self.response.worker_id is not None:
            try:
                self._target = await relay.target_get(self.response.worker_id)
                await self._consume(relay.follow(self._target, self.response.public_id))
            except (GenerationGone, WorkerDied):
                if self._assembly.has_begun:
                    raise
            else:
                return
        await self._ask(prepared)

    async def _ask(self, prepared: Prepared) -> None:
        # What an earlier worker wrote and the gate held back is not part of this answer.
        self._gate = answer_gate(prepared.call.actor)
        try:
            await self._consume(
                relay.generate(prepared.call, generation_id=self.response.public_id, on_assigned=self._assigned)
            )
        except WorkerRefused as exc:
            raise refused_here(exc, prepared.prompt) from exc

    async def _assigned(self, target: Target) -> None:
        if not await in_thread(responses.response_assign, self.response, target.worker_id):
            self.is_unwanted.set()
            raise GenerationGone
        self._target = target

    async def _consume(self, events: AsyncGenerator[WorkerEvent, None]) -> None:
        async with aclosing(self._gate.events(events)) as shown:
            async for event in shown:
                if event is not HEARTBEAT:
                    self._assembly.feed(event.body)

    async def _stop_when_unwanted(self, reading: "asyncio.Task[None]") -> None:
        """Cancel at the worker, which then tells what it used; who waits in the queue just leaves."""
        await self.is_unwanted.wait()
        if self._target is not None:
            try:
                await relay.cancel(self._target, self.response.public_id)
            except SiteError as exc:
                logger.warning("%s could not be cancelled at its worker: %s", self.response, exc)
            await asyncio.wait({reading}, timeout=STOP_PATIENCE_S)
        reading.cancel()

    def _may_be_tried_again(self, problem: BaseException) -> bool:
        if self._assembly.has_begun or timezone.now() >= self.response.created_at + TRIED_FOR:
            return False
        if isinstance(problem, DATABASE_AWAY):
            return True
        return isinstance(problem, SiteError) and problem.retryable and problem.whose is not Whose.USER
