"""`make bench-gateway`: what the way through the site costs, beside the bare worker and LiteLLM's proxy.

One run, turn about, medians of rounds; each figure a JSON line. The worker is scripted and computes nothing, so all
that differs is the way. The parts, all by default:

`streams`: 32 clients whose answers come at 50 tokens/s, beginning one after another; then again all at one moment.
`requests`: 32 clients whose answers come as fast as they are passed on, in 64 events or in one piece.
`sockets`: 500 open chat pages, and beside them 200 answers at once at 50 tokens/s, over the API and on chat pages.

The client, the worker, the site and its Postgres share the cores. The site checks keys and limits and keeps its books
in Postgres; LiteLLM is run without a database, with one process as the site is. It takes about ten minutes.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparison import print_lines
from benchmarks.gateway_servers import Gateway, Site, litellm_proxy, scripted_site
from benchmarks.gateway_sockets import idle_and_active
from benchmarks.load import Load, Plan, run_load
from benchmarks.report import Figure, middle, percentile
from benchmarks.scripted_worker import INSTANT, PACED, TOKENS_PER_S
from benchmarks.servers import PeerMissing
from benchmarks.serving import choice

PARTS = ("streams", "requests", "sockets")
STREAMS = 32
PACED_TOKENS, SHORT_TOKENS = 128, 64

TOKENS_KEPT = 0.95
"""Of what the worker alone delivers."""
ADDED_TTFT_MS = 5.0
PEER_REQUESTS = 3.0
"""Times as many as LiteLLM, and"""
PEER_LATENCY = 1.0
"""at most its latency. Source of all four: what this project set out to reach."""


@dataclass
class Runs:
    """What one gateway did in some rounds of one plan."""

    loads: list[Load] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def median(self, figure: Callable[[Load], float]) -> float:
        return middle([figure(load) for load in self.loads])

    @property
    def cpu_ms_per_request(self) -> float:
        return 1000 * middle([cpu / len(load.took_s) for cpu, load in zip(self.cpu_s, self.loads, strict=True)])


def main() -> int:
    options = _options()
    # So that the children are ended as well when this process is told to stop, and by Ctrl-C wherever it was started.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    machine, load = platform.processor() or platform.machine(), os.getloadavg()[0]
    print(f"# {machine}, {os.cpu_count()} cores, load {load:.2f}, {options.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="fastchat-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        site = stack.enter_context(scripted_site(folder))
        gateways = [site.worker, site.gateway]
        peer_is_missing = False
        if set(options.only) & {"streams", "requests"} and not options.without_peer:
            try:
                gateways.append(stack.enter_context(litellm_proxy(folder, site.worker)))
            except PeerMissing as exc:
                sys.stderr.write(f"bench-gateway: {exc}\n")
                peer_is_missing = True
        _measure(site, gateways, options)
    return 1 if peer_is_missing else 0


def _measure(site: Site, gateways: Sequence[Gateway], options: argparse.Namespace) -> None:
    for gateway in gateways:
        for model in (PACED, INSTANT):
            run_load(gateway.door(model), Plan(streams=4, requests_each=2, max_tokens=8))  # warm
    if "streams" in options.only:
        spread = Plan(STREAMS, 3, PACED_TOKENS, spread_s=PACED_TOKENS / TOKENS_PER_S)
        print_lines(streams_lines("gateway.32", _turn_about(gateways, PACED, spread, options.rounds), is_spread=True))
        burst = Plan(STREAMS, 1, PACED_TOKENS)
        runs = _turn_about(gateways, PACED, burst, options.rounds)
        print_lines(streams_lines("gateway.32.at_one_moment", runs, is_spread=False))
    if "requests" in options.only:
        streamed, whole = Plan(STREAMS, 12, SHORT_TOKENS), Plan(STREAMS, 24, SHORT_TOKENS, is_streamed=False)
        print_lines(requests_lines("gateway.streamed", _turn_about(gateways, INSTANT, streamed, options.rounds)))
        print_lines(requests_lines("gateway.whole", _turn_about(gateways, INSTANT, whole, options.rounds)))
    if "sockets" in options.only:
        print_lines(idle_and_active(site, n_idle=options.idle, n_active=options.active))


def _turn_about(gateways: Iterable[Gateway], model: str, plan: Plan, rounds: int) -> dict[str, Runs]:
    runs = {gateway.name: Runs() for gateway in gateways}
    for _ in range(rounds):
        for gateway in gateways:
            before = gateway.cpu_s()
            runs[gateway.name].loads.append(run_load(gateway.door(model), plan))
            runs[gateway.name].cpu_s.append(gateway.cpu_s() - before)
    return runs


def streams_lines(name: str, runs: dict[str, Runs], *, is_spread: bool) -> list[Figure]:
    """Ours beside the bare worker, then beside the peer. Only where clients begin one after another is there an aim."""
    ours, bare = runs["site"], runs["worker"]
    added_ms = ours.median(_ttft_ms) - bare.median(_ttft_ms)
    lines = [
        _beside(f"{name}.site.tokens_per_s", ours, bare, _tokens_per_s, "tokens/s", TOKENS_KEPT if is_spread else None),
        Figure(f"{name}.site.ttft_p50_added", added_ms, "ms", None, ADDED_TTFT_MS if is_spread else None, True),
        _beside(f"{name}.site.ttft_p50", ours, bare, _ttft_ms, "ms"),
        _beside(f"{name}.site.gap_p95", ours, bare, _gap_ms, "ms"),
    ]
    if (peer := runs.get("litellm")) is not None:
        lines += [
            _beside(f"{name}.litellm.tokens_per_s", ours, peer, _tokens_per_s, "tokens/s", 1.0),
            _beside(f"{name}.litellm.ttft_p50", ours, peer, _ttft_ms, "ms", PEER_LATENCY, less_is_better=True),
            _beside(f"{name}.litellm.gap_p95", ours, peer, _gap_ms, "ms", PEER_LATENCY, less_is_better=True),
            _cpu(f"{name}.litellm.cpu_per_request", ours, peer),
        ]
    return lines


def requests_lines(name: str, runs: dict[str, Runs]) -> list[Figure]:
    """Requests a second, and how long one takes when as many as there are clients are under way."""
    ours, bare = runs["site"], runs["worker"]
    lines = [
        _beside(f"{name}.site.requests_per_s", ours, bare, _requests_per_s, "requests/s"),
        _cpu(f"{name}.site.cpu_per_request", ours, bare),
    ]
    if (peer := runs.get("litellm")) is not None:
        lines += [
            _beside(f"{name}.litellm.requests_per_s", ours, peer, _requests_per_s, "requests/s", PEER_REQUESTS),
            _beside(f"{name}.litellm.latency_p50", ours, peer, _took_ms, "ms", PEER_LATENCY, less_is_better=True),
            _cpu(f"{name}.litellm.cpu_per_request", ours, peer),
        ]
    return lines


def _beside(
    name: str,
    ours: Runs,
    theirs: Runs,
    figure: Callable[[Load], float],
    unit: str,
    target: float | None = None,
    *,
    less_is_better: bool = False,
) -> Figure:
    return Figure(name, ours.median(figure), unit, theirs.median(figure), target, less_is_better)


def _cpu(name: str, ours: Runs, theirs: Runs) -> Figure:
    """Processor time of the one process that passes tokens on: it means the same on a busy machine."""
    return Figure(name, ours.cpu_ms_per_request, "ms", theirs.cpu_ms_per_request, None, True)


def _tokens_per_s(load: Load) -> float:
    return load.tokens_per_s


def _requests_per_s(load: Load) -> float:
    return load.requests_per_s


def _ttft_ms(load: Load) -> float:
    return 1000 * percentile(load.ttft_s, 0.5)


def _took_ms(load: Load) -> float:
    return 1000 * percentile(load.took_s, 0.5)


def _gap_ms(load: Load) -> float:
    return 1000 * percentile(load.gaps_s, 0.95)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-gateway ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=choice(PARTS), default=PARTS, help="parts, such as streams,sockets")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; medians are printed (%(default)s)")
    parser.add_argument("--without-peer", action="store_true", help="leave LiteLLM out")
    parser.add_argument("--idle", type=int, default=500, help="open chat pages (%(default)s)")
    parser.add_argument("--active", type=int, default=200, help="answers at once beside them (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
