"""Many open chat pages, and many answers at once beside them: how evenly text arrives, what each costs in memory."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import uvloop

from benchmarks.chat_load import Page, Shown
from benchmarks.gateway_servers import Gateway, Site
from benchmarks.load import Plan, work_through
from benchmarks.report import Figure, percentile
from benchmarks.scripted_worker import PACED, USUAL_TOKENS

T = TypeVar("T")

PAGES_EACH = 5
"""Open pages of one person."""
OPENED_AT_ONCE = 20
GAP_P95_MS = 100.0
API_TOKENS = 500
SPREAD_S = 4.0
"""200 people do not ask in the same instant: within these seconds."""
SAMPLE_EVERY_S = 0.5
ONE_DELIVERY_S = 0.001
"""What arrives within this was one delivery: else a burst's tokens would make the gap before it look rare."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a gateway's process used while something was done."""

    most_mib: float
    cpu_s: float
    wall_s: float


def idle_and_active(site: Site, *, n_idle: int, n_active: int) -> list[Figure]:
    """Raises: RuntimeError when the site refuses a page, or an answer is not whole."""
    cookies = site.sessions(max(n_active, -(-n_idle // PAGES_EACH)))
    return uvloop.run(_measure(site.gateway, cookies, n_idle, n_active))


async def _measure(gateway: Gateway, cookies: list[str], n_idle: int, n_active: int) -> list[Figure]:
    before_mib = gateway.memory_mib()
    with ExitStack() as stack:
        idle = await _opened(gateway.url, [cookies[number // PAGES_EACH] for number in range(n_idle)])
        for page in idle:
            stack.callback(page.close)
        open_mib = gateway.memory_mib()
        name = f"gateway.{n_idle}_open"
        lines = [Figure(f"{name}.memory_per_page", 1024 * (open_mib - before_mib) / max(1, n_idle), "KiB")]

        plan = Plan(n_active, 1, API_TOKENS, spread_s=SPREAD_S)
        load, watched = await _watched(gateway, lambda: work_through(gateway.door(PACED), plan))
        lines += _lines(f"{name}.{n_active}_api", load.gaps_s, load.tokens, n_active, watched, open_mib)

        begun_mib = gateway.memory_mib()
        pages = await _opened(gateway.url, cookies[:n_active])
        for page in pages:
            stack.callback(page.close)
        shown, watched = await _watched(gateway, lambda: _answered(pages))
        gaps_s = [gap for one in shown for gap in one.gaps_s]
        n_tokens = sum(one.n_tokens for one in shown)
        lines += _lines(f"{name}.{n_active}_chat", gaps_s, n_tokens, n_active, watched, begun_mib)
        for page in idle:
            if page.ended.done():
                page.ended.result()  # raises what cut it
    return lines


async def _opened(url: str, cookies: list[str]) -> list[Page]:
    pages: list[Page] = []
    for first in range(0, len(cookies), OPENED_AT_ONCE):
        some = [Page(url, cookie) for cookie in cookies[first : first + OPENED_AT_ONCE]]
        pages += await asyncio.gather(*(page.open() for page in some))
    return pages


async def _answered(pages: list[Page]) -> list[Shown]:
    async def one(number: int, page: Page) -> Shown:
        await asyncio.sleep(SPREAD_S * number / len(pages))
        page.ask(PACED)
        shown = await page.ended
        if shown.state != "complete" or shown.n_tokens != USUAL_TOKENS:
            raise RuntimeError(f"an answer ended as {shown.state} after {shown.n_tokens} tokens")
        return shown

    return await asyncio.gather(*(one(number, page) for number, page in enumerate(pages)))


async def _watched(gateway: Gateway, work: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, Watched]:
    """Do the work; meanwhile note the most memory that the gateway held."""
    most_mib, cpu_s, began = gateway.memory_mib(), gateway.cpu_s(), perf_counter()
    task = asyncio.ensure_future(work())
    while not (await asyncio.wait([task], timeout=SAMPLE_EVERY_S))[0]:
        most_mib = max(most_mib, gateway.memory_mib())
    return task.result(), Watched(most_mib, gateway.cpu_s() - cpu_s, perf_counter() - began)


def _lines(
    name: str, gaps_s: list[float], n_tokens: int, n_active: int, watched: Watched, from_mib: float
) -> list[Figure]:
    gaps_s = [gap for gap in gaps_s if gap >= ONE_DELIVERY_S]
    return [
        Figure(f"{name}.gap_p95", 1000 * percentile(gaps_s, 0.95), "ms", None, GAP_P95_MS, True),
        Figure(f"{name}.gap_p50", 1000 * percentile(gaps_s, 0.5), "ms"),
        Figure(f"{name}.memory_per_stream", 1024 * (watched.most_mib - from_mib) / n_active, "KiB"),
        Figure(f"{name}.cpu_per_token", 1e6 * watched.cpu_s / n_tokens, "us"),
        Figure(f"{name}.cpu_share", watched.cpu_s / watched.wall_s, "cores"),
    ]
