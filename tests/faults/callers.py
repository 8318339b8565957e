"""Programs that call the API without pause and keep what became of each call."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

PAUSE_S = 0.05
"""Of a program that was refused a connection, before it tries again."""


@dataclass
class Calls:
    """By request id: the usage of those that were answered, and the words about those that were not."""

    answered: dict[str, dict[str, int]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    """The connection broke, so nobody can say how far they came."""
    refused: list[str] = field(default_factory=list)
    """The site said no. (Where nobody listened, there was no call.)"""
    noticed: set[int] = field(default_factory=set)
    """Programs whose connection broke, or that found nobody listening."""


@contextmanager
def calling(url: str, key: str, model: str, *, n: int) -> Iterator[Calls]:
    """So many programs for the length of the block; at its end each finishes the call that it makes."""
    calls, is_over = Calls(), threading.Event()

    def call_again_and_again(program: int) -> None:
        while not is_over.is_set():
            _call(url, key, model, calls, program)

    threads = [threading.Thread(target=call_again_and_again, args=(program,)) for program in range(n)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _call(url: str, key: str, model: str, calls: Calls, program: int) -> None:
    request_id = uuid4().hex
    headers = {"Authorization": f"Bearer {key}", "X-Request-ID": request_id}
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Go on"}], "max_tokens": 24}
    try:
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, trust_env=False, timeout=60)
    except httpx.ConnectError:
        calls.noticed.add(program)
        time.sleep(PAUSE_S)
    except httpx.TransportError:
        calls.cut.append(request_id)
        calls.noticed.add(program)
    else:
        if reply.status_code == 200:
            calls.answered[request_id] = reply.json()["usage"]
        else:
            calls.refused.append(f"{reply.status_code} {reply.json()['error']['code']}")
