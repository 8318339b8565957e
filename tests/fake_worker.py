"""A scripted worker: a real HTTP server that speaks gpu_worker/protocol.py, with timing and faults that a test decides.

It generates nothing: each completion plays the next script. It waits at gates instead of sleeping, so a test can stop
time in mid-answer, look, and go on.
"""

import asyncio
import json
import socket
import threading
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import uvicorn
from django.utils import timezone
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apps.catalog.models import LanguageModel
from apps.workers.models import HostedModel, HostedState, Worker
from gpu_worker.protocol import WorkerErrorCode, error_body

WAIT_S = 30.0
PROMPT_TOKENS = 7
CACHED_TOKENS = 3
CONTEXT_LENGTH = 1024


class Gate:
    """A place in a script where the worker waits until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        self._opened.set()
        for loop, event in self._waiting:
            loop.call_soon_threadsafe(event.set)

    async def was_reached(self) -> None:
        """Wait, in the test's event loop, until the worker stands here."""
        assert await asyncio.to_thread(self.reached.wait, WAIT_S), "the worker never came to this gate"

    async def pass_through(self) -> None:
        event = asyncio.Event()
        self._waiting.append((asyncio.get_running_loop(), event))
        self.reached.set()
        if not self._opened.is_set():
            await event.wait()


class Cut:
    """Break every connection that reads this generation; the generation goes on."""


@dataclass(frozen=True)
class Fail:
    """End the generation with an error event."""

    code: WorkerErrorCode = WorkerErrorCode.INTERNAL
    message: str = "the engine broke"


@dataclass(frozen=True)
class Thought:
    """What the model thinks, apart from the answer."""

    text: str


@dataclass(frozen=True)
class Refuse:
    """Answer the request with an error and generate nothing."""

    status: int
    code: WorkerErrorCode
    message: str = "no"
    retry_after_s: int | None = None


class HangUp:
    """Take the request, send a heartbeat, and break the connection before the first event."""


@dataclass(frozen=True)
class Nonsense:
    """Answer with 200 and these bytes."""

    content: bytes


Step = str | Gate | Cut | Fail | Thought


@dataclass(frozen=True)
class Script:
    """What one completion does: pieces of text, gates and faults in order, then the finish reason."""

    steps: list[Step]
    finish_reason: str = "stop"

    @property
    def text(self) -> str:
        return "".join(step for step in self.steps if isinstance(step, str))


@dataclass
class _Generation:
    events: list[str] = field(default_factory=list)
    is_done: bool = False
    n_cuts: int = 0
    n_pieces: int = 0
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, event: str, *, is_last: bool = False) -> None:
        async with self.changed:
            self.events.append(event)
            self.is_done = self.is_done or is_last
            self.changed.notify_all()

    async def ended(self) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.is_done)

    async def cut(self) -> None:
        async with self.changed:
            self.n_cuts += 1
            self.changed.notify_all()

    async def wait_beyond(self, number: int, n_cuts: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.events) > number or self.is_done or self.n_cuts > n_cuts)


class FakeWorker:
    """Made by `fake_worker()`. `requests`, `tokenized`, `attached` and `cancelled` record what the site asked."""

    def __init__(self) -> None:
        self.access_token = uuid.uuid4().hex
        self.scripts: deque[Script | Refuse | HangUp | Nonsense | Gate] = deque()
        """A gate instead of a script: it takes the request and says nothing until the gate is open."""
        self.requests: list[dict[str, Any]] = []
        self.tokenized: list[dict[str, Any]] = []
        self.request_ids: list[str] = []
        self.cancelled: list[str] = []
        self.attached: list[str] = []
        self.is_deaf_to_cancel = False
        self.counts_after: Gate | None = None
        """It counts tokens only after this."""
        self.port = 0
        self._generations: dict[str, _Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def n_connections(self) -> int:
        """How many are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    def play(self, *steps: Step, finish_reason: str = "stop") -> Script:
        """Let the next completion be this one."""
        script = Script(list(steps), finish_reason)
        self.scripts.append(script)
        return script

    def forget(self) -> None:
        """Lose all generations, as a restarted worker does. Gates must be open, or not be passed any more."""
        self._generations.clear()

    # --- Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen; on the old port again if it was killed before."""
        # Listening from here on: whoever connects before the server runs waits in the kernel.
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self._app(), log_level="critical", lifespan="off")
        server = self._server = uvicorn.Server(config)
        started = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            serving = self._serving = asyncio.create_task(server.serve(sockets=[listener]))
            started.set()
            await asyncio.wait({serving})
            for connection in list(server.server_state.connections):  # whoever came at the last moment
                connection.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0)
            if not serving.cancelled():
                serving.result()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="fake worker", daemon=True)
        self._thread.start()
        assert started.wait(WAIT_S), "the fake worker does not start"

    def kill(self) -> None:
        """End as by kill -9: every connection breaks, every generation is lost."""
        if self._server is None or self._loop is None or self._thread is None:
            return
        server = self._server

        def break_off() -> None:
            server.should_exit = server.force_exit = True
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            if server.started and self._serving is not None:
                # uvicorn itself would end two tenths of a second later, and there are hundreds of these.
                for listener in server.servers:
                    listener.close()
                self._serving.cancel()

        self._loop.call_soon_threadsafe(break_off)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the fake worker does not end"
        self._server = None
        self.forget()

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._completions, methods=["POST"]),
                Route("/v1/tokenize", self._tokenize, methods=["POST"]),
                Route("/v1/generations/{id}/events", self._events, methods=["GET"]),
                Route("/v1/generations/{id}", self._cancel, methods=["DELETE"]),
            ]
        )

    async def _completions(self, request: Request) -> Response:
        if (refusal := self._unauthorised(request)) is not None:
            return refusal
        body = await request.json()
        self.requests.append(body)
        self.request_ids.append(request.headers.get("X-Request-ID", ""))
        script = self.scripts.popleft() if self.scripts else Script(["Hello", " there", "."])
        if isinstance(script, Refuse):
            return _refused(script)
        if isinstance(script, Nonsense):
            return Response(script.content)
        if isinstance(script, Gate):
            await script.pass_through()
            return _refused(Refuse(503, WorkerErrorCode.SHUTTING_DOWN))
        if isinstance(script, HangUp):
            return StreamingResponse(_broken(), media_type="text/event-stream")
        generation = _Generation()
        self._generations[body.get("generation_id") or uuid.uuid4().hex] = generation
        task = asyncio.create_task(self._play(script, generation, body["model"]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not body.get("stream"):
            await generation.ended()
            return JSONResponse(_whole(body["model"], script.text, generation.n_pieces))
        return StreamingResponse(_stream(generation, 0, generation.n_cuts), media_type="text/event-stream")

    async def _tokenize(self, request: Request) -> Response:
        """A chat always has as many tokens; a text has one for each word."""
        if (refusal := self._unauthorised(request)) is not None:
            return refusal
        body = await request.json()
        self.tokenized.append(body)
        if self.counts_after is not None:
            await self.counts_after.pass_through()
        count = len(body["prompt"].split()) if "prompt" in body else PROMPT_TOKENS
        return JSONResponse({"count": count, "max_model_len": CONTEXT_LENGTH, "tokens": [0] * count})

    async def _events(self, request: Request) -> Response:
        if (refusal := self._unauthorised(request)) is not None:
            return refusal
        self.attached.append(request.path_params["id"])
        generation = self._generations.get(request.path_params["id"])
        if generation is None:
            return _refused(Refuse(404, WorkerErrorCode.GENERATION_NOT_FOUND))
        after = int(request.query_params.get("after", "0"))
        return StreamingResponse(_stream(generation, after, generation.n_cuts), media_type="text/event-stream")

    async def _cancel(self, request: Request) -> Response:
        if (refusal := self._unauthorised(request)) is not None:
            return refusal
        self.cancelled.append(request.path_params["id"])
        generation = self._generations.get(request.path_params["id"])
        if generation is None:
            return _refused(Refuse(404, WorkerErrorCode.GENERATION_NOT_FOUND))
        if not self.is_deaf_to_cancel:
            generation.cancelled.set()
        return Response(status_code=204)

    def _unauthorised(self, request: Request) -> Response | None:
        if request.headers.get("Authorization") == f"Bearer {self.access_token}":
            return None
        return _refused(Refuse(401, WorkerErrorCode.UNAUTHORISED))

    async def _play(self, script: Script, generation: _Generation, model: str) -> None:
        await generation.add(_chunk(model, {"role": "assistant", "content": ""}))
        for step in script.steps:
            if generation.cancelled.is_set():
                break
            match step:
                case str():
                    generation.n_pieces += 1
                    await generation.add(_chunk(model, {"content": step}))
                case Thought():
                    generation.n_pieces += 1
                    await generation.add(_chunk(model, {"reasoning_content": step.text}))
                case Gate():
                    await _first_of(step.pass_through(), generation.cancelled.wait())
                case Cut():
                    await generation.cut()
                case Fail():
                    await generation.add(json.dumps(error_body(step.code, step.message)), is_last=True)
                    return
        reason = "cancelled" if generation.cancelled.is_set() else script.finish_reason
        await generation.add(_chunk(model, {}, reason))
        await generation.add(_usage(model, generation.n_pieces))
        await generation.add("[DONE]", is_last=True)


async def _stream(generation: _Generation, after: int, n_cuts: int) -> AsyncGenerator[str, None]:
    """The events above `after`, until the end or the next cut; `n_cuts` is how many there were before."""
    number = after
    while True:
        await generation.wait_beyond(number, n_cuts)
        while number < len(generation.events):
            yield f"id: {number + 1}\ndata: {generation.events[number]}\n\n"
            number += 1
        if generation.n_cuts > n_cuts:
            raise ConnectionError("cut by the script")
        if generation.is_done:
            return


async def _broken() -> AsyncGenerator[str, None]:
    yield ": heartbeat\n\n"
    raise ConnectionError("hung up by the script")


async def _first_of(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _refused(refusal: Refuse) -> Response:
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    return JSONResponse(error_body(refusal.code, refusal.message), status_code=refusal.status, headers=headers)


def _chunk(model: str, delta: dict[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return json.dumps(_envelope(model) | {"choices": [choice]})


def _usage(model: str, n_pieces: int) -> str:
    return json.dumps(_envelope(model) | {"choices": [], "usage": _usage_of(n_pieces)})


def _whole(model: str, text: str, n_pieces: int) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _envelope(model) | {"object": "chat.completion", "choices": [choice], "usage": _usage_of(n_pieces)}


def _usage_of(n_pieces: int) -> dict[str, Any]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": n_pieces,
        "total_tokens": PROMPT_TOKENS + n_pieces,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    }


def _envelope(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": model}


@contextmanager
def fake_worker() -> Iterator[FakeWorker]:
    """A running fake worker that the site does not know yet; see `enrol`."""
    worker = FakeWorker()
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()


def enrol(fake: FakeWorker, *model_names: str, state: HostedState = HostedState.LOADED) -> Worker:
    """Put the worker into the pool with these models."""
    worker = Worker(
        public_id=uuid.uuid4(),
        base_url=fake.base_url,
        device="scripted",
        lease_expires_at=timezone.now() + timedelta(hours=1),
    )
    worker.access_token = fake.access_token
    worker.save()
    for name in model_names:
        model, _ = LanguageModel.objects.get_or_create(name=name, defaults={"context_length": CONTEXT_LENGTH})
        HostedModel.objects.create(worker=worker, model=model, state=state)
    return worker
