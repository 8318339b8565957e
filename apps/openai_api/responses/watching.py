"""The events of a response that is answered in the background, from any of them on, for whoever asks.

They are made anew of the worker's chunks, which it keeps until some minutes after the end; so any web process can do
it, and nothing else is kept. The last event is the row's: whoever works on the response writes the end.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic

from apps.core.errors import SiteError
from apps.core.threads import in_thread
from apps.moderation.answers import AnswerGate
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.models import UNENDED, ResponseState, StoredResponse
from apps.openai_api.moderation import answer_gate
from apps.openai_api.responses.preparing import actor_of
from apps.openai_api.responses.shapes import opening_object, response_object
from apps.openai_api.responses.streaming import assembly_of, framed
from apps.openai_api.shapes import Json
from apps.openai_api.sse import comment
from apps.workers import relay
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.request import DATABASE_AWAY

LOOK_EVERY_S = 0.5
HEARTBEAT_S = 15.0

DELETED = {"code": "server_error", "message": "The response was deleted."}

logger = logging.getLogger(__name__)


class Watch:
    """One watcher's view. `after`: the number of the last event that it has; -1 for none."""

    def __init__(self, response: StoredResponse, *, after: int = -1) -> None:
        self._response = response
        self._after = after
        self._assembly = assembly_of(response)
        self._gate = self._new_gate()
        self._chunks: AsyncGenerator[WorkerEvent, None] | None = None
        self._first: WorkerEvent | None = None
        self._last_chunk = 0

    async def open(self) -> None:
        """Make sure that there is something to tell. Raises: InvalidRequest for what nobody can tell any more."""
        if not self._response.is_background:
            reason = "only responses with 'background': true can be streamed again; retrieve it without 'stream'"
            raise InvalidRequest(reason=reason, param="stream")
        if not self._response.is_ended:
            return
        chunks = await self._follow()
        try:
            self._first = None if chunks is None else await anext(chunks)
        except (SiteError, StopAsyncIteration) as exc:
            logger.info("the events of %s are gone: %s", self._response, exc)
        if self._first is None:
            reason = "the response ended too long ago to be streamed again; retrieve it without 'stream'"
            raise InvalidRequest(reason=reason, param="stream")
        self._chunks = chunks

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The events after the one that the watcher has; ends with the response's end."""
        try:
            yield self._framed(self._assembly.opening(opening_object(self._response)))
            heard_at = monotonic()
            while True:
                async with aclosing(self._read()) as read:
                    async for told in read:
                        heard_at = monotonic()
                        yield told
                if self._response.is_ended:
                    break
                if monotonic() > heard_at + HEARTBEAT_S:
                    heard_at = monotonic()
                    yield comment("heartbeat")
                await asyncio.sleep(LOOK_EVERY_S)
                await self._look()
            state = ResponseState(self._response.state)
            closing, _ = self._assembly.close(state)
            yield self._framed([*closing, self._assembly.terminal(state, response_object(self._response))])
        finally:
            if self._chunks is not None:
                await self._chunks.aclose()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        """What the worker has and will have. It may break off: then the end is looked for, and it is tried again."""
        self._chunks = self._chunks or await self._follow()
        if self._chunks is None:
            return
        try:
            async with aclosing(self._chunks) as chunks:
                if self._first is not None:
                    yield self._fed(self._first)
                async for chunk in chunks:
                    yield comment("heartbeat") if chunk is HEARTBEAT else self._fed(chunk)
        except SiteError as exc:
            logger.info("%s cannot be followed now: %s", self._response, exc)
        self._chunks = self._first = None

    async def _follow(self) -> AsyncGenerator[WorkerEvent, None] | None:
        if self._response.worker_id is None:
            return None
        try:
            target = await relay.target_get(self._response.worker_id)
        except (SiteError, *DATABASE_AWAY):
            return None
        return self._gate.events(relay.follow(target, self._response.public_id, after=self._last_chunk))

    def _fed(self, chunk: WorkerEvent) -> bytes:
        self._last_chunk = chunk.number
        return self._framed(self._assembly.feed(chunk.body))

    async def _look(self) -> None:
        """How far it is. One that was deleted has failed, for those who watched."""
        try:
            await in_thread(self._read_row)
        except DATABASE_AWAY as exc:
            logger.warning("%s cannot be looked at, trying again: %s", self._response, exc)

    def _read_row(self) -> None:
        """All of it, which may be megabytes, at the end only."""
        row = StoredResponse.objects.filter(pk=self._response.pk)
        state, worker_id = row.values_list("state", "worker_id").first() or (None, None)
        if state in UNENDED:
            if worker_id != self._response.worker_id:
                # It is asked anew. Nothing was shown yet, though something may have been held back.
                self._gate, self._last_chunk = self._new_gate(), 0
            self._response.state, self._response.worker_id = state, worker_id
        elif (ended := row.first()) is not None:
            self._response = ended
        else:
            self._response.state, self._response.error = ResponseState.FAILED, DELETED

    def _new_gate(self) -> AnswerGate:
        """What it finds is written down by whoever works on the response."""
        return answer_gate(actor_of(self._response), records=lambda: False)

    def _framed(self, events: list[Json]) -> bytes:
        return framed(event for event in events if event["sequence_number"] > self._after)
