"""The worker beside its peers, turn about in one run: every server of a model is up, and one at a time runs."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from benchmarks.gguf_export import Precision
from benchmarks.load import Door, Load, Plan, ask, run_load
from benchmarks.report import Figure, shared_beginning
from benchmarks.servers import (
    Server,
    Setting,
    start_fastchat,
    start_llamacpp,
    start_transformers,
    start_worker,
    whole_site,
)
from benchmarks.targets import UNITS, compared, target

Start = Callable[[ExitStack, Setting, str], Server]

PEERS: dict[str, Start] = {
    "fastchat": start_fastchat,
    "transformers": start_transformers,
    "llamacpp-f32": partial(start_llamacpp, precision=Precision.F32),
    "llamacpp-q8_0": partial(start_llamacpp, precision=Precision.Q8_0),
}
SAME_ANSWERS = {"transformers": 1.0, "llamacpp-f32": 0.2}
"""Peers that get the same prompt and weights, and how much of a greedy answer must be the same text.

llama.cpp rounds differently: on `small`, after 21 equal tokens, one turns whose two likeliest are 0.03 logits apart.
"""

SLOW = {("fastchat", "small", 32)}
"""Takes minutes a round, and is run in one round only."""

REQUESTS = {"small": {1: 2}}
"""Requests of each stream in a run, where they differ from `USUAL`."""
USUAL = {1: 4, 8: 2, 32: 1}


def compare_with_peers(setting: Setting, model: str, peers: Sequence[str], streams: Sequence[int], rounds: int) -> None:
    """Measure one model on the worker and on each peer; print a line per figure and peer."""
    with ExitStack() as stack:
        servers = [start_worker(stack, setting, model), *(PEERS[name](stack, setting, model) for name in peers)]
        for server in servers:
            server.wait()
            run_load(server.door, Plan(streams=2, requests_each=1))  # warm
        worker, *others = servers
        print_lines(_same_answers(model, worker, others))
        for server in servers:
            with server.awake():
                pass  # it is stopped from now on, but for its own turns
        for n_streams in streams:
            runs = _turn_about(servers, model, n_streams, rounds)
            for peer in others:
                targets = {kind: target(peer.name, model, n_streams, kind) for kind in UNITS}
                name = f"serving.{model}.{n_streams}.{peer.name}"
                print_lines(compared(name, runs[worker.name], runs[peer.name], targets))


def _turn_about(servers: Sequence[Server], model: str, streams: int, rounds: int) -> dict[str, list[Load]]:
    runs: dict[str, list[Load]] = {server.name: [] for server in servers}
    n_requests = REQUESTS.get(model, {}).get(streams) or USUAL.get(streams, 1)
    for number in range(rounds):
        for server in servers:
            if number and (server.name, model, streams) in SLOW:
                continue
            with server.awake() as door:
                runs[server.name].append(
                    run_load(door, Plan(streams=streams, requests_each=n_requests, seed=f"{streams}/{number}"))
                )
    counts = ", ".join(f"{name} {len(loads)}" for name, loads in runs.items())
    prompts = max(load.n_prompt for loads in runs.values() for load in loads)
    print(f"# {model}, {streams} streams: {n_requests} requests each, prompts to {prompts} tokens; rounds: {counts}")
    return runs


def _same_answers(model: str, worker: Server, others: Iterable[Server]) -> list[Figure]:
    """How far greedy answers are the same text: a peer that computes something else is no peer.

    Raises: ValueError when not even a beginning is the same.
    """
    messages = [{"role": "user", "content": "river stone window garden"}]
    ours = ask(worker.door, messages, max_tokens=64).text.strip()
    lines = []
    for peer in others:
        if peer.name not in SAME_ANSWERS:
            continue
        theirs = ask(peer.door, messages, max_tokens=64).text.strip()
        shared = shared_beginning(ours, theirs) / len(ours)
        if not shared:
            raise ValueError(f"{peer.name} computes something else: {theirs[:80]!r} for {ours[:80]!r}")
        lines.append(Figure(f"serving.{model}.same_answer.{peer.name}", shared, "share", None, SAME_ANSWERS[peer.name]))
    return lines


def compare_through_site(setting: Setting, model: str, streams: Sequence[int], rounds: int) -> None:
    """Measure the worker through the site (API key, dispatch, relay) beside the same worker asked directly."""
    with ExitStack() as stack:
        worker = start_worker(stack, setting, model)
        through = stack.enter_context(whole_site(setting, model))
        worker.wait()
        for door in (worker.door, through):
            run_load(door, Plan(streams=4, requests_each=1))  # warm
        for n_streams in streams:
            site, direct = _both(through, worker, USUAL.get(n_streams, 1), n_streams, rounds)
            targets = {kind: target("worker", model, n_streams, kind) for kind in UNITS}
            print_lines(compared(f"serving.{model}.{n_streams}.site", site, direct, targets))


def _both(through: Door, worker: Server, requests: int, streams: int, rounds: int) -> tuple[list[Load], list[Load]]:
    site, direct = [], []
    for number in range(rounds):
        seed = f"{streams}/{number}"
        with worker.awake() as door:
            direct.append(run_load(door, Plan(streams=streams, requests_each=requests, seed=seed)))
        site.append(run_load(through, Plan(streams=streams, requests_each=requests, seed=seed + "/site")))
    return site, direct


def print_lines(figures: Iterable[Figure]) -> None:
    for figure in figures:
        print(figure.line(), flush=True)
