"""The worker's figures that need no peer: reuse of a conversation's beginning, and memory while idle."""

from contextlib import ExitStack
from pathlib import Path
from random import Random

from benchmarks.load import WORDS, Plan, ask, run_load
from benchmarks.report import Figure, middle
from benchmarks.servers import Server, Setting, start_worker

PREFIX_WORDS = 640
"""About 1,500 tokens of the benchmarks' models."""
PREFIX_TARGET = 0.2
IDLE_MB_TARGET = 450.0


def prefix_reuse(setting: Setting, model: str, rounds: int) -> list[Figure]:
    """Time to the first token of a conversation's second turn, beside that of its long first turn."""
    with ExitStack() as stack:
        worker = start_worker(stack, setting, model)
        worker.wait()
        run_load(worker.door, Plan(streams=2, requests_each=1))  # warm
        turns = [_two_turns(worker, Random(number)) for number in range(rounds)]
    first_ms, second_ms = (1000 * middle([turn[place] for turn in turns]) for place in (0, 1))
    print(f"# prefix reuse: the first turn has {turns[0][2]} tokens")
    return [Figure(f"prefix.{model}.second_turn.ttft", second_ms, "ms", first_ms, PREFIX_TARGET, True)]


def _two_turns(worker: Server, random: Random) -> tuple[float, float, int]:
    """Times to the first token in seconds, and the first prompt's tokens."""
    long = " ".join(random.choice(WORDS) for _ in range(PREFIX_WORDS))
    messages = [{"role": "user", "content": long}]
    first = ask(worker.door, messages, max_tokens=16)
    messages += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "and then"}]
    second = ask(worker.door, messages, max_tokens=16)
    return first.ttft_s, second.ttft_s, first.usage["prompt_tokens"]


def idle_memory(setting: Setting, model: str) -> list[Figure]:
    """Resident memory of the worker's process once it is ready, and again after a load, when it is idle."""
    with ExitStack() as stack:
        worker = start_worker(stack, setting, model)
        worker.wait()
        fresh = resident_mb(worker.processes[0].pid)
        run_load(worker.door, Plan(streams=8, requests_each=1))
        after = resident_mb(worker.processes[0].pid)
    return [
        Figure(f"memory.{model}.idle", fresh, "MB", None, IDLE_MB_TARGET, True),
        Figure(f"memory.{model}.idle_after_load", after, "MB"),
    ]


def resident_mb(pid: int) -> float:
    """Source: proc(5), VmRSS, in units of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no resident memory")
