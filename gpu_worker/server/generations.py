"""A generation as its readers see it: an append-only log of numbered events, and the answer in one piece.

Lives on the event loop's thread. It computes nothing and knows no HTTP: events are bytes, ready to send.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

from gpu_worker.engine.request import StepOutput
from gpu_worker.errors import WorkerError
from gpu_worker.protocol import HEARTBEAT_S, FinishReason, Json
from gpu_worker.server.choices import ChatChoice, Choice

HEARTBEAT = b": still here\n\n"

PLAIN_END = '"logprobs":null,"finish_reason":null}'

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Door(Enum):
    """Which endpoint a generation came in by: the prefix of its id, and what it calls its reply and its chunks."""

    CHAT = ("chatcmpl", "chat.completion", "chat.completion.chunk")
    COMPLETIONS = ("cmpl", "text_completion", "text_completion")


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a generation when it starts. Completion and chunk ids are made of `request_id`."""

    request_id: str
    model: str
    n_prompt: int
    """Tokens of its prompt, counted once however many choices there are; of all prompts together."""
    n_prompts: int = 1
    """Each has as many choices as any other, one after another."""
    generation_id: str | None = None
    has_events: bool = True
    """False for a plain reply in one piece, which nobody reads event by event."""
    sends_usage: bool = False
    door: Door = Door.CHAT


class Generation:
    """One generation's events, choices and end. It ends when all its choices have, or when one of them fails."""

    def __init__(self, opening: Opening, choices: Sequence[Choice] | None = None) -> None:
        self.opening = opening
        self.choices = [ChatChoice(0)] if choices is None else choices
        self.created = int(time.time())
        self.started_at = time.perf_counter()
        self.n_bytes = 0
        self.error: WorkerError | None = None
        self._n_unfinished = len(self.choices)
        self._events: list[bytes] = []
        self._waiters: list[asyncio.Future[bool]] = []
        # Everything but the choice is the same in each chunk: made once.
        _, _, chunk = opening.door.value
        head = self._head(chunk) | ({"usage": None} if opening.sends_usage else {})
        self._before = _to_json(head)[:-1] + ',"choices":['
        for choice in self.choices:
            self._append_chunks(choice.opening())

    @property
    def is_ended(self) -> bool:
        return self._n_unfinished == 0 or self.error is not None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Of the generation as a whole, once it has ended: cancelled if any choice was."""
        reasons = [choice.finish_reason for choice in self.choices]
        return FinishReason.CANCELLED if FinishReason.CANCELLED in reasons else reasons[-1]

    @property
    def text(self) -> str:
        return self.choices[0].text

    def usage(self) -> Json:
        n_prompt = self.opening.n_prompt
        n_tokens = sum(choice.n_tokens for choice in self.choices)
        return {
            "prompt_tokens": n_prompt,
            "completion_tokens": n_tokens,
            "total_tokens": n_prompt + n_tokens,
            "prompt_tokens_details": {"cached_tokens": self._n_cached()},
        }

    def _n_cached(self) -> int:
        """Prompt tokens that none of a prompt's choices has computed."""
        per_prompt = len(self.choices) // self.opening.n_prompts
        counts = [choice.n_cached for choice in self.choices]
        prompts = [counts[start : start + per_prompt] for start in range(0, len(counts), per_prompt)]
        return sum(min((n for n in prompt if n is not None), default=0) for prompt in prompts)

    def completion(self) -> Json:
        """The whole answer as one `chat.completion` or `text_completion`."""
        _, whole, _ = self.opening.door.value
        return {**self._head(whole), "choices": [choice.whole() for choice in self.choices], "usage": self.usage()}

    def take(self, output: StepOutput, index: int = 0) -> None:
        """Append what one engine step made of the choice `index`. After an error nothing is added any more."""
        chunks = self.choices[index].take(output)
        if self.is_ended:
            return
        self._append_chunks(chunks)
        if output.error is not None:
            self._append(_to_json(output.error.body()))
            self.error = output.error
        elif output.finish_reason is not None:
            self._n_unfinished -= 1
            if self._n_unfinished == 0:
                self._append_end()
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

    def _append_chunks(self, chunks: Sequence[Json]) -> None:
        if self.opening.has_events:
            for chunk in chunks:
                self._append(f"{self._before}{chunk_json(chunk)}]}}")

    def _append_end(self) -> None:
        if self.opening.sends_usage:
            _, _, chunk = self.opening.door.value
            self._append(_to_json({**self._head(chunk), "choices": [], "usage": self.usage()}))
        self._append("[DONE]")

    def _append(self, data: str) -> None:
        if self.opening.has_events:
            event = f"id: {len(self._events) + 1}\ndata: {data}\n\n".encode()
            self._events.append(event)
            self.n_bytes += len(event)

    def _head(self, kind: str) -> Json:
        prefix, _, _ = self.opening.door.value
        return {
            "id": f"{prefix}-{self.opening.request_id}",
            "object": kind,
            "created": self.created,
            "model": self.opening.model,
        }


def chunk_json(chunk: Json) -> str:
    """One choice of a chunk. Almost every chunk is nothing but a piece of text: written here several times as fast."""
    if len(chunk) == 4 and chunk["logprobs"] is None and chunk["finish_reason"] is None:
        delta: Json | None = chunk.get("delta")
        if delta is None and "text" in chunk:
            return f'{{"index":{chunk["index"]},"text":{json.dumps(chunk["text"])},{PLAIN_END}'
        if delta is not None and len(delta) == 1 and "content" in delta:
            return f'{{"index":{chunk["index"]},"delta":{{"content":{json.dumps(delta["content"])}}},{PLAIN_END}'
    return _to_json(chunk)


def _resolve(waiter: "asyncio.Future[bool]", value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)
