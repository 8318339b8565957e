"""Generations as their readers see them: an append-only log of numbered events, and the store that keeps the logs.

Lives on the event loop's thread. It computes nothing and knows no HTTP: events are bytes, ready to send.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gpu_worker.engine.request import StepOutput
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import GENERATION_KEPT_S, HEARTBEAT_S, FinishReason, Json, WorkerErrorCode

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 256 * 1024 * 1024
HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a generation when it starts. Completion and chunk ids are made of `request_id`."""

    request_id: str
    model: str
    n_prompt: int
    generation_id: str | None = None
    has_events: bool = True
    """False for a plain reply in one piece, which nobody reads event by event."""
    sends_usage: bool = False


class Generation:
    """One generation's events, text and end."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.created = int(time.time())
        self.started_at = time.perf_counter()
        self.last_token_at: float | None = None
        self.n_tokens = 0
        self.n_bytes = 0
        self.finish_reason: FinishReason | None = None
        self.error: WorkerError | None = None
        self._texts: list[str] = []
        self._events: list[bytes] = []
        self._waiters: list[asyncio.Future[bool]] = []
        # Everything but the text is the same in each content chunk: made once.
        shell = json.dumps(self._chunk({"content": None}, None), separators=(",", ":"))
        self._before, self._after = shell.split('"content":null')
        self._append(self._chunk({"role": "assistant", "content": ""}, None))

    @property
    def is_ended(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def usage(self) -> Json:
        n_prompt = self.opening.n_prompt
        return {
            "prompt_tokens": n_prompt,
            "completion_tokens": self.n_tokens,
            "total_tokens": n_prompt + self.n_tokens,
        }

    def completion(self) -> Json:
        """The whole answer as one `chat.completion`."""
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def take(self, output: StepOutput) -> None:
        """Append what one engine step made."""
        self.n_tokens = output.n_tokens
        if output.text:
            self._texts.append(output.text)
            self._append_raw(f'{self._before}"content":{json.dumps(output.text)}{self._after}')
        if output.error is not None:
            self._append(output.error.body())
            self.error = output.error
        elif output.finish_reason is not None:
            self._append(self._chunk({}, output.finish_reason))
            if self.opening.sends_usage:
                self._append({**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()})
            self._append_raw("[DONE]")
            self.finish_reason = output.finish_reason
        self._wake()

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Events numbered above `after`, joined where several are there, then live until the end."""
        while True:
            if after < len(self._events):
                news, after = self._events[after:], len(self._events)
                yield b"".join(news)
            elif self.is_ended:
                return
            elif not await self._has_news(HEARTBEAT_S):
                yield HEARTBEAT

    async def ended(self) -> None:
        while not self.is_ended:
            await self._has_news(HEARTBEAT_S)

    async def _has_news(self, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(timeout_s, _resolve, waiter, False)
        try:
            return await waiter
        finally:
            timer.cancel()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _resolve(waiter, True)

    def _append(self, body: Json) -> None:
        self._append_raw(json.dumps(body, separators=(",", ":")))

    def _append_raw(self, data: str) -> None:
        if self.opening.has_events:
            event = f"id: {len(self._events) + 1}\ndata: {data}\n\n".encode()
            self._events.append(event)
            self.n_bytes += len(event)

    def _head(self, kind: str) -> Json:
        return {
            "id": f"chatcmpl-{self.opening.request_id}",
            "object": kind,
            "created": self.created,
            "model": self.opening.model,
        }

    def _chunk(self, delta: Json, finish_reason: FinishReason | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}


def _resolve(waiter: "asyncio.Future[bool]", value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)


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
