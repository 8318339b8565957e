"""The reading of one generation in this process: from the worker's events to a text and one end.

It belongs to the process, not to a socket: it goes on when nobody watches. Any number of processes may read the same
generation; one of them saves (see `hold`). It does not know what a frame looks like, nor who may watch.

Phases: LOADING (whose is it, how far is it) -> ASKING (a worker is looked for) or FOLLOWING (a known one replays) ->
READING (text comes) -> SETTLING (the end is written) -> ENDED. It goes back to LOADING while another process saves and
this one has nothing to read from.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.accounts.models import Endpoint
from apps.conversations.hints import hint_send
from apps.conversations.live.answer import Answer
from apps.conversations.live.hold import DATABASE_AWAY, Hold
from apps.conversations.live.thoughts import Thoughts
from apps.conversations.live.timing import Stopwatch
from apps.conversations.models import GenerationState, Purpose
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.reading import ReadingJob, call_body
from apps.conversations.services import generations
from apps.core.errors import SiteError
from apps.core.middleware import request_id_var
from apps.core.threads import in_thread
from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Surface
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.errors import GenerationGone, WorkerDied
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.fairness import Place
from apps.workers.target import Target

logger = logging.getLogger(__name__)

SURFACES = {Purpose.CHAT: Surface.CHAT, Purpose.BATTLE_SIDE: Surface.ARENA}

CANCELLED = "cancelled"
"""Finish reason of a generation that was cancelled at its worker. Source: gpu_worker/protocol.py, `FinishReason`."""

SAVE_EVERY_S = 1.0
LOOK_AGAIN_S = 0.5
"""How often a process that cannot read by itself looks at what the one that can has done."""

STOP_REPEAT_S = 0.5
STOP_PATIENCE_S = 5.0
"""A worker that does not end a cancelled generation within this time is left alone."""

ASK_AGAIN_WITHIN_S = 600
"""An answer that no worker has begun is asked for again after a crash, unless the question is older than this."""


class Phase(StrEnum):
    """What a reader is doing."""

    LOADING = "loading"
    ASKING = "asking"
    FOLLOWING = "following"
    READING = "reading"
    SETTLING = "settling"
    ENDED = "ended"


class Reader:
    """Reads one generation to its end. Make it in a running event loop and await `run` in a task of its own."""

    def __init__(self, generation_id: UUID, reader_id: UUID | None = None) -> None:
        self.generation_id = generation_id
        self.phase = Phase.LOADING
        self.answer = Answer()
        """Replaced by another object when the text was found to be another one; appended to otherwise."""
        self.outcome: Outcome | None = None
        self.place: Place | None = None
        """Where it stands in the queue of its model, while it waits for its turn and this process asks for it."""
        self.loaded = asyncio.Event()
        self.rendering = asyncio.Lock()
        """Held by whoever brings the answer's blocks up to date."""
        self._hold = Hold(generation_id, reader_id)
        self._watch = Stopwatch(time.monotonic)
        self._job: ReadingJob | None = None
        self._gate: AnswerGate | None = None
        self._thoughts = Thoughts()
        self._target: Target | None = None
        self._last_event = 0
        self._had_ended = False
        self._finish_reason = ""
        self._usage: dict[str, Any] = {}
        self._stop = asyncio.Event()
        self._subscribers: set[asyncio.Event] = set()

    @property
    def state(self) -> str:
        if self.outcome is not None:
            return self.outcome.state
        return GenerationState.RUNNING if self.answer.has_begun else GenerationState.QUEUED

    def subscribe(self) -> asyncio.Event:
        """Return an event that is set whenever there is something new; give it back to `unsubscribe`."""
        changed = asyncio.Event()
        self._subscribers.add(changed)
        return changed

    def unsubscribe(self, changed: asyncio.Event) -> None:
        self._subscribers.discard(changed)

    def stop(self) -> None:
        """Cancel at the worker; what came so far stays."""
        self._stop.set()

    async def run(self) -> None:
        """Read, save and settle. Cancelling it lets go of the generation, so that another process may go on."""
        # One id from the page to the worker's log: no HTTP request belongs to this task.
        request_id_var.set(str(self.generation_id))
        try:
            outcome = await self._read_beside_keeper()
            if not self._had_ended:
                self.phase = Phase.SETTLING
                if self._gate is not None:
                    await self._gate.close()
                outcome, self.answer = await self._hold.settle(outcome, self.answer)
            self._end(outcome)
            await self._tell_other_pages()
        except asyncio.CancelledError:
            await self._hold.release(self.answer, self._watch.ttft_ms)
            raise
        except Exception:
            # A fault of ours in one answer: its page must hear of it, and other answers must not suffer.
            logger.exception("reading generation %s failed", self.generation_id)
            self._end(Outcome(GenerationState.FAILED, error=Failure.of(SiteError())))

    async def _tell_other_pages(self) -> None:
        """Those that do not follow it show that it is under way; the battles' own pages follow theirs."""
        job, is_known = self._job, self._had_ended
        if job is not None and job.purpose is Purpose.CHAT and self._hold.is_mine and not is_known:
            await hint_send(job.owner, job.hint)

    def _end(self, outcome: Outcome) -> None:
        self.phase = Phase.ENDED
        self.outcome = outcome
        self.loaded.set()
        self._notify()

    async def _read_beside_keeper(self) -> Outcome:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read())
            helpers = [group.create_task(self._keep(reading)), group.create_task(self._obey_stop(reading))]
            await asyncio.wait([reading])
            for helper in helpers:
                helper.cancel()
        return self._outcome(GenerationState.STOPPED) if reading.cancelled() else reading.result()

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def _read(self) -> Outcome:
        """Return how it ended, as seen from here."""
        while True:
            self.phase = Phase.LOADING
            job = await self._hold.claim()
            if job is None:
                return self._outcome(GenerationState.STOPPED)
            self._load(job)
            if job.outcome is not None:
                self._had_ended = True
                return job.outcome
            self.loaded.set()
            self._notify()
            try:
                if await self._read_events(job):
                    return self._completed()
            except SiteError as exc:
                if self._hold.is_mine or self._stop.is_set():
                    return self._failed(exc)
                logger.info("generation %s is saved elsewhere, and cannot be read here: %s", self.generation_id, exc)
            await asyncio.sleep(LOOK_AGAIN_S)

    def _load(self, job: ReadingJob) -> None:
        self._job = job
        nothing_came = self.answer.n_received == 0 and self.answer.n_chars < len(job.text)
        if nothing_came or (job.outcome is not None and job.text != self.answer.text):
            self.answer = Answer(job.text, job.n_given_chars)
        if self._gate is None:
            self._begin_anew(job)
        if job.is_stop_requested:
            self._stop.set()

    async def _read_events(self, job: ReadingJob) -> bool:
        """Read to the end. False if there is nothing to read from yet, because another process asks for a worker."""
        if job.worker_id is None:
            return self._hold.is_mine and await self._asked(job)
        self.phase = Phase.FOLLOWING
        try:
            self._target = await relay.target_get(job.worker_id)
            return await self._follow(self._target)
        except (GenerationGone, WorkerDied):
            if self._stop.is_set() or not (self._hold.is_mine and self._may_ask_again(job)):
                raise
        return await self._asked(job)

    async def _asked(self, job: ReadingJob) -> bool:
        # What an earlier worker wrote and the gate held back is not part of this answer.
        self._begin_anew(job)
        return await self._consume(self._ask(job))

    def _begin_anew(self, job: ReadingJob) -> None:
        self._gate = self._new_gate(job)
        self._thoughts = Thoughts(job.text[: job.n_given_chars])

    def _new_gate(self, job: ReadingJob) -> AnswerGate:
        return AnswerGate(
            surface=SURFACES[job.purpose],
            actor=job.owner,
            records=lambda: self._hold.is_mine,
            given=job.text[: job.n_given_chars],
        )

    async def _follow(self, target: Target) -> bool:
        """Read on after the last event; a connection that breaks is taken up once, as `relay.generate` does."""
        try:
            return await self._consume(relay.follow(target, self.generation_id, after=self._last_event))
        except WorkerDied:
            if self._last_event == 0:
                raise
        return await self._consume(relay.follow(target, self.generation_id, after=self._last_event))

    def _may_ask_again(self, job: ReadingJob) -> bool:
        return not self.answer.has_begun and job.age.total_seconds() < ASK_AGAIN_WITHIN_S

    async def _ask(self, job: ReadingJob) -> AsyncGenerator[WorkerEvent, None]:
        self.phase = Phase.ASKING
        self._watch.start(asked_s_ago=job.age.total_seconds())
        body = await in_thread(call_body, job.conversation_pk, before=self.generation_id)
        events = relay.generate(
            Call(
                job.owner,
                job.model_name,
                body,
                asked_at=_asked_at(job),
                on_place=self._placed,
            ),
            generation_id=self.generation_id,
            on_assigned=self._assigned,
        )
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            if self._stop.is_set() and self._target is None:
                await self._hold.forgo()

    async def _placed(self, place: Place) -> None:
        self.place = place
        self._notify()

    async def _assigned(self, target: Target) -> None:
        if not await in_thread(generations.generation_assign, self.generation_id, target.worker_id):
            # It was stopped or deleted elsewhere while it waited: there is nobody to ask a worker for.
            self._stop.set()
            raise GenerationGone
        self._thoughts.assigned(is_asked_anew=target.upstream is not None)
        self._target, self.place = target, None
        self._notify()

    async def _consume(self, events: AsyncGenerator[WorkerEvent, None]) -> bool:
        assert self._gate is not None  # noqa: S101  # made when it was loaded
        async with aclosing(self._gate.events(self._thoughts.events(events))) as shown:
            async for event in shown:
                if event is HEARTBEAT:
                    continue
                self.phase = Phase.READING
                self._last_event = event.number
                self._finish_reason = event.finish_reason or self._finish_reason
                self._usage = event.usage or self._usage
                if text := event.text:
                    self._watch.tick()
                    self.answer.append(text)
                    self._notify()
        return True

    # --- Meanwhile ----------------------------------------------------------------------------------------------------

    async def _keep(self, reading: "asyncio.Task[Outcome]") -> None:
        """Save about every second, and learn whether somebody else stopped, ended or deleted it."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            try:
                kept = await self._hold.save(self.answer, self._watch.ttft_ms)
            except DATABASE_AWAY as exc:
                logger.warning("generation %s could not be saved, trying again: %s", self.generation_id, exc)
                continue
            if kept is None or kept.is_stop_requested:
                self._stop.set()
            if kept is None:
                # The end is written already, so there is no reason to wait for the worker's.
                await asyncio.sleep(STOP_REPEAT_S)
                reading.cancel()

    async def _obey_stop(self, reading: "asyncio.Task[Outcome]") -> None:
        """Cancel at the worker, again and again: the first time may come before the worker knows the generation."""
        await self._stop.wait()
        give_up_at = time.monotonic() + STOP_PATIENCE_S
        while self._target is not None and time.monotonic() < give_up_at:
            try:
                await relay.cancel(self._target, self.generation_id)
            except SiteError as exc:
                logger.warning("generation %s could not be cancelled at its worker: %s", self.generation_id, exc)
            await asyncio.sleep(STOP_REPEAT_S)
        reading.cancel()

    # --- The end ------------------------------------------------------------------------------------------------------

    def _completed(self) -> Outcome:
        is_cancelled = self._finish_reason == CANCELLED
        return self._outcome(GenerationState.STOPPED if is_cancelled else GenerationState.COMPLETE)

    def _failed(self, error: SiteError) -> Outcome:
        if self._stop.is_set():
            return self._outcome(GenerationState.STOPPED)
        logger.warning("generation %s failed: %s", self.generation_id, error)
        return self._outcome(GenerationState.FAILED, Failure.of(error))

    def _outcome(self, state: GenerationState, error: Failure | None = None) -> Outcome:
        n_tokens = self._usage.get("completion_tokens")
        return Outcome(
            state=state,
            finish_reason=self._finish_reason,
            error=error,
            prompt_tokens=self._usage.get("prompt_tokens"),
            completion_tokens=n_tokens,
            ttft_ms=self._watch.ttft_ms,
            tokens_per_s=self._watch.tokens_per_s(n_tokens),
        )

    def _notify(self) -> None:
        for changed in self._subscribers:
            changed.set()


def _asked_at(job: ReadingJob) -> str:
    """What the ledger names, if it is not the worker's door; a program's key must be allowed there."""
    if job.purpose is Purpose.BATTLE_SIDE:
        return Endpoint.BATTLES
    return "" if job.owner.api_key_id is None else Endpoint.CHATS
