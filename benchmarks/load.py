"""A load of concurrent streamed chat completions on an OpenAI-compatible server of this machine.

Bounded: loopback addresses only, a fixed number of requests, a time limit for each. It shares the machine's cores with
the server, so it does as little as it can for an event: a client on httpx took a quarter of a core at 1,000 tokens/s.
"""

import asyncio
import ipaddress
import json
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

Messages = list[dict[str, str]]

REQUEST_LIMIT_S = 900.0
PROMPT_WORDS = 40
"""About 100 tokens of the benchmarks' models."""
WORDS = """river stone window garden morning paper music bridge lamp winter bread road letter table green quiet
seven open walk think carry learn small early round north silver simple answer number""".split()  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Door:
    """Where to send requests."""

    url: str
    key: str
    model: str
    ignores_end: bool = False
    """Whether it knows `ignore_eos`; some peers refuse what OpenAI's API does not have."""


@dataclass(slots=True)
class Load:
    """What a run of one concurrency saw; times in seconds. A gap is the time between two content events."""

    wall_s: float = 0.0
    tokens: int = 0
    n_prompt: int = 0
    """Tokens of the longest prompt, 0 when the server does not say."""
    ttft_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    """Of each request, to the end of its answer."""

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.wall_s

    @property
    def requests_per_s(self) -> float:
        return len(self.took_s) / self.wall_s


@dataclass(slots=True)
class Answer:
    """One answer: what its events say and when text came, in seconds of `perf_counter`."""

    text: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    sent_at: float = 0.0
    ended_at: float = 0.0
    text_at: list[float] = field(default_factory=list)

    def read(self, event: dict[str, Any], at: float) -> None:
        """Take an event in, or an answer in one piece. Raises: RuntimeError for an error event."""
        if "error" in event or "error_code" in event:
            raise RuntimeError(f"the stream holds an error: {event}")
        self.usage = event.get("usage") or self.usage
        for choice in event["choices"]:
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if text := choice.get("delta", choice.get("message")).get("content"):
                self.text += text
                self.text_at.append(at)

    @property
    def ttft_s(self) -> float:
        return self.text_at[0] - self.sent_at

    def n_tokens(self, max_tokens: int) -> int:
        """Its tokens. FastChat sends no usage in a stream, but says that the length ended it. Raises: RuntimeError."""
        if self.finish_reason is None or not self.text_at:
            raise RuntimeError("the stream was cut off")
        if self.usage:
            return int(self.usage["completion_tokens"])
        if self.finish_reason != "length":
            raise RuntimeError(f"an answer without usage ended by {self.finish_reason!r}")
        return max_tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """`streams` clients, each of which sends `requests_each` requests one after another."""

    streams: int
    requests_each: int
    max_tokens: int = 64
    seed: str = "warm"
    """What prompts are drawn from: those of another run would be in a server's cache of prompts."""
    is_streamed: bool = True
    spread_s: float = 0.0
    """The clients begin one after another over this time; all at once without."""


def run_load(door: Door, plan: Plan) -> Load:
    """Work through a plan. Any failed request fails the run."""
    return uvloop.run(work_through(door, plan))


def ask(door: Door, messages: Messages, *, max_tokens: int, temperature: float = 0.0) -> Answer:
    """Send one request and wait for the end of its answer."""
    return uvloop.run(stream(door, messages, max_tokens=max_tokens, temperature=temperature))


async def work_through(door: Door, plan: Plan) -> Load:
    """As `run_load`, in the running event loop."""
    load = Load()
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(plan.streams):
            group.create_task(_client(door, plan, number, load))
    load.wall_s = perf_counter() - began
    return load


async def _client(door: Door, plan: Plan, number: int, load: Load) -> None:
    random = Random(f"{plan.seed}/{number}")
    await asyncio.sleep(plan.spread_s * number / plan.streams)
    for _ in range(plan.requests_each):
        prompt = " ".join(random.choice(WORDS) for _ in range(PROMPT_WORDS))
        messages = [{"role": "user", "content": prompt}]
        answer = await exchange(
            door, messages, max_tokens=plan.max_tokens, temperature=0.7, is_streamed=plan.is_streamed
        )
        load.tokens += answer.n_tokens(plan.max_tokens)
        load.n_prompt = max(load.n_prompt, answer.usage.get("prompt_tokens", 0))
        load.ttft_s.append(answer.ttft_s)
        load.took_s.append(answer.ended_at - answer.sent_at)
        load.gaps_s += [late - early for early, late in zip(answer.text_at, answer.text_at[1:], strict=False)]


async def stream(door: Door, messages: Messages, *, max_tokens: int, temperature: float) -> Answer:
    """One streamed request. Raises: as `exchange`."""
    return await exchange(door, messages, max_tokens=max_tokens, temperature=temperature, is_streamed=True)


async def exchange(door: Door, messages: Messages, *, max_tokens: int, temperature: float, is_streamed: bool) -> Answer:
    """One request on a connection of its own. Raises: RuntimeError, OSError, TimeoutError."""
    address = urlsplit(door.url)
    host = address.hostname or ""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{door.url}: only loopback addresses")
    body: dict[str, Any] = {
        "model": door.model,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    body |= {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    body |= {"ignore_eos": True} if door.ignores_end else {}
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(REQUEST_LIMIT_S):
        transport, reader = await loop.create_connection(_EventReader, host, address.port or 80)
        try:
            reader.answer.sent_at = perf_counter()
            transport.write(_request(door, json.dumps(body).encode()))
            return await reader.done
        finally:
            transport.close()


def _request(door: Door, body: bytes) -> bytes:
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {urlsplit(door.url).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    lines += [f"Authorization: Bearer {door.key}"] if door.key else []
    return "\r\n".join([*lines, "", ""]).encode() + body


class _EventReader(asyncio.Protocol):
    """Reads server-sent events as httptools parses the reply; `done` is the answer, or why there is none."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, RuntimeError) as exc:
            self._fail(f"{exc.__context__ or exc}")

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() != 200:
            self._rest += body
            return
        *lines, self._rest = (self._rest + body).split(b"\n")
        now = perf_counter()
        for line in lines:
            if line.startswith(b"data: {"):
                self.answer.read(json.loads(line[6:]), now)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            self._fail(f"HTTP {self._parser.get_status_code()}: {self._rest.decode(errors='replace')}")
        elif not self.done.done():
            self.answer.ended_at = perf_counter()
            if self._rest:  # no event, but an answer in one piece
                self.answer.read(json.loads(self._rest), self.answer.ended_at)
            self.done.set_result(self.answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was cut ({exc})")

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))
