"""`manage.py test_throughput MODEL`: many requests at once through the pool, with a table of what came of them."""

import asyncio
import statistics
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.actors import Actor
from apps.core.errors import SiteError
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.target import Target

BAR_CHARS = 30


@dataclass(frozen=True, slots=True)
class Result:
    """One request. `error` is empty if it was answered."""

    took_s: float
    ttft_s: float | None
    n_tokens: int
    worker_id: int | None
    error: str


class Command(BaseCommand):
    help = "Measure the pool: N requests, so many at once; prints tokens per second, times, and each worker's share."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model")
        parser.add_argument("--requests", type=int, default=32)
        parser.add_argument("--at-once", type=int, default=8)
        parser.add_argument("--max-tokens", type=int, default=64)

    def handle(self, *args: object, **options: object) -> None:
        n, at_once, max_tokens = (int(str(options[name])) for name in ("requests", "at_once", "max_tokens"))
        if min(n, at_once, max_tokens) < 1:
            raise CommandError("--requests, --at-once and --max-tokens must be at least 1")
        started = time.monotonic()
        results = asyncio.run(self._measure(str(options["model"]), n, at_once, max_tokens))
        for line in table(results, time.monotonic() - started):
            self.stdout.write(line)
        if all(result.error for result in results):
            raise CommandError("no request was answered")

    async def _measure(self, model: str, n: int, at_once: int, max_tokens: int) -> list[Result]:
        room, results = asyncio.Semaphore(at_once), list[Result]()

        async def one(number: int) -> None:
            messages = [{"role": "user", "content": f"Tell me story number {number}."}]
            async with room:
                results.append(
                    await _ask(
                        Call(Actor(is_installation=True), model, {"messages": messages, "max_tokens": max_tokens})
                    )
                )
            self._show_progress(len(results), n)

        await asyncio.gather(*(one(number) for number in range(n)))
        return results

    def _show_progress(self, n_done: int, n: int) -> None:
        filled = BAR_CHARS * n_done // n
        end = "\n" if n_done == n else "\r"
        self.stderr.write(f"[{'#' * filled}{'.' * (BAR_CHARS - filled)}] {n_done}/{n}", ending=end)
        self.stderr.flush()


async def _ask(call: Call) -> Result:
    started, first, n_tokens = time.monotonic(), None, 0
    asked: list[Target] = []

    async def on_assigned(target: Target) -> None:
        asked.append(target)

    error = ""
    try:
        with_usage = Call(call.actor, call.model, call.body | {"stream_options": {"include_usage": True}})
        async with aclosing(relay.generate(with_usage, on_assigned=on_assigned)) as events:
            async for event in events:
                if event.text and first is None:
                    first = time.monotonic() - started
                n_tokens = (event.usage or {}).get("completion_tokens", n_tokens)
    except SiteError as exc:
        error = exc.code
    return Result(time.monotonic() - started, first, n_tokens, asked[-1].worker_id if asked else None, error)


def table(results: Sequence[Result], took_s: float) -> list[str]:
    """The figures, a line each."""
    answered = [result for result in results if not result.error]
    n_tokens = sum(result.n_tokens for result in answered)
    rows = [
        ("requests answered", f"{len(answered)} of {len(results)}"),
        ("took", f"{took_s:.2f} s"),
        ("requests per second", f"{len(answered) / took_s:.2f}"),
        ("tokens per second", f"{n_tokens / took_s:.1f}"),
        ("time to first text", _spread([r.ttft_s for r in answered if r.ttft_s is not None])),
        ("time to the end", _spread([r.took_s for r in answered])),
    ]
    shares = Counter(r.worker_id for r in answered if r.worker_id is not None)
    rows += [(f"worker {worker_id}", f"{n} requests") for worker_id, n in sorted(shares.items())]
    rows += [(error, f"{n} requests") for error, n in Counter(r.error for r in results if r.error).items()]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    return f"median {statistics.median(ordered):.2f} s, 95 % within {ordered[int(0.95 * (len(ordered) - 1))]:.2f} s"
