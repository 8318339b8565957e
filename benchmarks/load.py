"""A load of concurrent streamed chat completions on an OpenAI-compatible server of this machine.

Bounded: loopback addresses only, a fixed number of requests, a time limit for each.
"""

import asyncio
import ipaddress
import json
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from urllib.parse import urlsplit

import httpx

REQUEST_LIMIT_S = 300.0
WORDS = """river stone window garden morning paper music bridge lamp winter bread road letter table green quiet
seven open walk think carry learn small early round north silver simple answer number""".split()  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Door:
    """Where to send requests."""

    url: str
    key: str
    model: str


@dataclass
class Load:
    """What a run of one concurrency saw; times in seconds. A gap is the time between two content events."""

    wall_s: float = 0.0
    tokens: int = 0
    ttft_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.wall_s


def run_load(door: Door, *, streams: int, requests_each: int, max_tokens: int = 64) -> Load:
    """Let `streams` clients send `requests_each` requests one after another. Any failed request fails the run."""
    host = urlsplit(door.url).hostname or ""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{door.url}: only loopback addresses")
    return asyncio.run(_run(door, streams, requests_each, max_tokens))


async def _run(door: Door, streams: int, requests_each: int, max_tokens: int) -> Load:
    load = Load()
    limits = httpx.Limits(max_connections=streams)
    async with httpx.AsyncClient(timeout=REQUEST_LIMIT_S, trust_env=False, limits=limits) as client:
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(streams):
                group.create_task(_client(client, door, load, Random(number), requests_each, max_tokens))
        load.wall_s = perf_counter() - began
    return load


async def _client(
    client: httpx.AsyncClient, door: Door, load: Load, random: Random, requests: int, max_tokens: int
) -> None:
    for _ in range(requests):
        await _request(client, door, load, " ".join(random.choice(WORDS) for _ in range(40)), max_tokens)


async def _request(client: httpx.AsyncClient, door: Door, load: Load, prompt: str, max_tokens: int) -> None:
    body = {
        "model": door.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0.7,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = last = perf_counter()
    seen = 0
    headers = {"Authorization": f"Bearer {door.key}"}
    async with client.stream("POST", f"{door.url}/v1/chat/completions", json=body, headers=headers) as reply:
        if reply.status_code != 200:
            raise RuntimeError(f"HTTP {reply.status_code}: {(await reply.aread()).decode()}")
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(f"{event['error']}")
            if event.get("usage"):
                load.tokens += event["usage"]["completion_tokens"]
            if not any(choice["delta"].get("content") for choice in event["choices"]):
                continue
            now = perf_counter()
            (load.gaps_s if seen else load.ttft_s).append(now - last if seen else now - began)
            seen, last = seen + 1, now
