"""An engine whose model is computed by a child server: the same doors as `engine.Engine`, over HTTP on this machine.

A thread with its own event loop holds one stream per running request, admits those that wait, and starts the child
again when it dies. It computes nothing.
"""

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx

from gpu_worker.engine.child import ChildFailed, ChildServer
from gpu_worker.engine.dialects import Dialect, Piece, refuse_unsupported
from gpu_worker.engine.engine import Deliver, StepReport
from gpu_worker.engine.request import Request, StepOutput
from gpu_worker.engine.stop import StopScanner
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import FinishReason, WorkerErrorCode

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
"""Between two attempts to start a child that keeps dying."""


@dataclass(frozen=True, slots=True)
class RemoteLimits:
    """How much the child takes at once; more waits here, and beyond `max_waiting` it is refused."""

    max_running: int
    max_waiting: int
    cache_tokens: int | None = None
    """Prompts and longest answers of all that runs, if the child does not count itself."""


@dataclass(slots=True, eq=False)
class _Stream:
    """A request and how far its answer has come."""

    request: Request
    stops: StopScanner = field(init=False)
    n_tokens: int = 0
    n_cached: int | None = None
    finish_reason: FinishReason | None = None
    """Why it has ended, though the child may still count."""
    has_begun: bool = False
    """Its prompt has been counted as computed."""
    task: "asyncio.Task[None] | None" = None
    cancel_reason: WorkerError | None = None
    """Why its task was cancelled, if not because it was asked for."""

    def __post_init__(self) -> None:
        self.stops = StopScanner(self.request.params.stop)


class RemoteEngine:
    """Many requests over one child server, which has been started."""

    def __init__(
        self, child: ChildServer, dialect: Dialect, limits: RemoteLimits, deliver: Deliver, *, name: str
    ) -> None:
        self._child = child
        self._dialect = dialect
        self._limits = limits
        self._deliver = deliver
        self._name = name
        self._lock = threading.Lock()
        self._known: dict[str, _Stream] = {}
        self._waiting: deque[_Stream] = deque()
        self._running: set[_Stream] = set()
        self._is_up = True
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._client: httpx.AsyncClient | None = None
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def n_requests(self) -> int:
        return len(self._known)

    def submit(self, *requests: Request) -> None:
        for request in requests:
            refuse_unsupported(self._dialect, request.params)
        with self._lock:
            if self._closing:
                raise WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker is shutting down")
            if not self._is_up:
                raise WorkerError(WorkerErrorCode.MODEL_LOADING, f"the engine of {self._name} is starting again")
            n_room = self._limits.max_running + self._limits.max_waiting - len(self._known)
            if len(requests) > n_room:
                raise WorkerError(
                    WorkerErrorCode.OVERLOADED, f"the model is busy: {len(self._known)} requests; try again later"
                )
            streams = [_Stream(request) for request in requests]
            self._known.update({stream.request.id: stream for stream in streams})
        self._call(self._queue, streams)

    def cancel(self, *request_ids: str) -> None:
        self._call(self._cancel, request_ids)

    def close(self, timeout_s: float) -> bool:
        with self._lock:
            self._closing = True
        if self._thread.ident is None:
            self._loop.close()
            return self._child.stop(timeout_s)
        self._call(self._end_all, WorkerError(WorkerErrorCode.SHUTTING_DOWN, "the worker was shut down"))
        self._call(self._stopped.set)
        is_stopped = self._child.stop(timeout_s)
        self._thread.join(timeout_s)
        return is_stopped and not self._thread.is_alive()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """On the engine's thread, later; when that has ended there is nothing left to do."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        watching = asyncio.create_task(self._watch())
        await self._stopped.wait()
        tasks = [stream.task for stream in self._running if stream.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await watching
        await self._disconnect()

    async def _watch(self) -> None:
        """Start the child again whenever it dies."""
        pause_s = 1.0
        while True:
            status = await asyncio.to_thread(self._child.wait)
            self._is_up = False
            if self._closing:
                return
            logger.error("the child server of %s ended with status %d; starting it again", self._name, status)
            self._end_all(WorkerError(WorkerErrorCode.INTERNAL, "the engine of this model died while generating"))
            try:
                await asyncio.to_thread(self._child.start)
            except ChildFailed as exc:
                logger.error("%s: %s; trying again in %.0f s", self._name, exc, pause_s)
                await self._rest(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            pause_s = 1.0
            await self._disconnect()
            self._is_up = True

    async def _rest(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), pause_s)
        except TimeoutError:
            return

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _connection(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._child.url,
                headers=self._child.headers,
                timeout=httpx.Timeout(None, connect=10),
                limits=httpx.Limits(max_connections=None),
                trust_env=False,
            )
        return self._client

    def _queue(self, streams: list[_Stream]) -> None:
        self._waiting.extend(streams)
        self._admit()

    def _admit(self) -> None:
        """First come, first served."""
        while self._waiting and len(self._running) < self._limits.max_running and self._has_room(self._waiting[0]):
            stream = self._waiting.popleft()
            self._running.add(stream)
            stream.task = asyncio.create_task(self._serve(stream))
            stream.task.add_done_callback(partial(self._served, stream))

    def _has_room(self, stream: _Stream) -> bool:
        if self._limits.cache_tokens is None or not self._running:
            return True
        reserved = sum(one.request.n_reserved for one in self._running)
        return reserved + stream.request.n_reserved <= self._limits.cache_tokens

    def _cancel(self, request_ids: tuple[str, ...]) -> None:
        for request_id in request_ids:
            stream = self._known.get(request_id)
            if stream is not None:
                self._abort(stream, None)

    def _end_all(self, error: WorkerError) -> None:
        for stream in list(self._known.values()):
            self._abort(stream, error)

    def _abort(self, stream: _Stream, error: WorkerError | None) -> None:
        """End a request that waits, or break its stream off, upon which the child ends it within a step."""
        stream.cancel_reason = error
        if stream.task is not None:
            stream.task.cancel()
        elif stream in self._waiting:
            self._waiting.remove(stream)
            self._put_aborted(stream)

    async def _serve(self, stream: _Stream) -> None:
        try:
            await self._read(stream)
        except WorkerError as exc:
            self._put(stream, "", error=exc)
        except Exception as exc:  # whatever a child sends must end its request, not leave it hanging
            logger.error("%s: a stream of the child server failed", self._name, exc_info=exc)
            self._put(stream, "", error=_failed())

    def _served(self, stream: _Stream, task: "asyncio.Task[None]") -> None:
        # Not in the task itself: one that is cancelled before it begins never runs.
        if task.cancelled():
            self._put_aborted(stream)
        self._admit()

    async def _read(self, stream: _Stream) -> None:
        body = self._dialect.body(stream.request)
        async with self._connection().stream("POST", self._dialect.path, json=body) as reply:
            if not reply.is_success:
                await reply.aread()
                logger.error("%s: the child server answered %d: %s", self._name, reply.status_code, reply.text[:500])
                raise _failed()
            async for line in reply.aiter_lines():
                data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                if not data or data == "[DONE]":
                    continue
                event = json.loads(data)
                if "error" in event:
                    logger.error("%s: the child server reported %s", self._name, str(event["error"])[:500])
                    raise _failed()
                if self._take(stream, self._dialect.read(event, stream.request.params)):
                    return
        raise _failed()  # it ended without saying why

    def _take(self, stream: _Stream, piece: Piece) -> bool:
        """Whether it was the last."""
        if piece.n_tokens is not None:
            stream.n_tokens = piece.n_tokens
        if piece.n_cached is not None:
            stream.n_cached = piece.n_cached
        text = stream.stops.feed(piece.text)
        if stream.stops.matched is not None:
            self._put(stream, text, FinishReason.STOP)
            return True
        stream.finish_reason = piece.finish_reason or stream.finish_reason
        if piece.is_end and stream.finish_reason is not None:
            self._put(stream, text + stream.stops.flush(), stream.finish_reason)
            return True
        self._put(stream, text)
        return False

    def _put_aborted(self, stream: _Stream) -> None:
        if stream.cancel_reason is not None:
            self._put(stream, "", error=stream.cancel_reason)
        else:
            self._put(stream, stream.stops.flush(), FinishReason.CANCELLED)

    def _put(
        self,
        stream: _Stream,
        text: str,
        finish_reason: FinishReason | None = None,
        *,
        error: WorkerError | None = None,
    ) -> None:
        request_id = stream.request.id
        if request_id not in self._known:
            return
        output = StepOutput(request_id, text, stream.n_tokens, finish_reason, error, n_cached=stream.n_cached)
        n_prompt = stream.request.n_prompt if stream.n_tokens and not stream.has_begun else 0
        stream.has_begun = stream.n_tokens > 0
        if output.is_last:
            with self._lock:
                del self._known[request_id]
            self._running.discard(stream)
        n_running, n_waiting = len(self._running), len(self._waiting)
        self._deliver(StepReport([output], 0.0, n_running, n_prompt, n_running, n_waiting))


def _failed() -> WorkerError:
    return WorkerError(
        WorkerErrorCode.INTERNAL, "the model's engine failed while generating; the worker's log has the cause"
    )
