"""`make bench-serving`: tokens/s, time to first token and gaps between tokens at 1, 8 and 32 streams.

One run, turn about, medians of rounds; each figure a JSON line beside the same of a peer. The parts, all by default:
`site` (demo-base through the site, beside its worker alone), the worker beside `fastchat`, `transformers`,
`llamacpp-f32` and `llamacpp-q8_0`, `weights` (bytes read a second beside a bare matrix-vector product), `int8` beside
float32, `prefix` (a second turn beside the first) and `memory`. Prompts have about 100 tokens and answers 64. The
client shares the cores with what it measures, as it would on a small installation. FastChat streams two tokens an
event, so its gaps are between pairs. On two quiet cores everything takes about 17 minutes, nearly half of it FastChat.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.comparison import PEERS, compare_through_site, compare_with_peers, print_lines
from benchmarks.models import ROOT, SHAPES
from benchmarks.servers import PeerMissing, Setting
from benchmarks.worker_alone import idle_memory, prefix_reuse

PARTS = ("site", *PEERS, "weights", "int8", "prefix", "memory")


def main() -> int:
    options = _options()
    # So that the children are ended as well when this process is told to stop, and by Ctrl-C wherever it was started.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    machine, load = platform.processor() or platform.machine(), os.getloadavg()[0]
    print(f"# {machine}, {os.cpu_count()} cores, load {load:.2f}, {options.threads} threads each", flush=True)
    with tempfile.TemporaryDirectory(prefix="fastchat-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        failed = [part for part, measure in _parts(Setting(folder, options.threads), options) if not _succeeds(measure)]
    if failed:
        sys.stderr.write(f"bench-serving: not measured: {', '.join(failed)}\n")
    return 1 if failed else 0


def _succeeds(measure: Callable[[], None]) -> bool:
    """Whether a part could be measured. What stands in the way of one is told, and does not lose the others."""
    try:
        measure()
    except PeerMissing as exc:
        sys.stderr.write(f"bench-serving: {exc}\n")
        return False
    except Exception:
        traceback.print_exc()
        return False
    return True


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-serving ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=choice(PARTS), default=PARTS, help="parts, such as fastchat,prefix")
    parser.add_argument("--models", type=choice(tuple(SHAPES)), default=tuple(SHAPES), help="beside peers: tiny,small")
    parser.add_argument("--streams", type=_numbers, default=[1, 8, 32], help="concurrent streams (1,8,32)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; medians are printed (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each server's arithmetic (%(default)s)")
    return parser.parse_args()


def _parts(setting: Setting, options: argparse.Namespace) -> list[tuple[str, Callable[[], None]]]:
    """What was asked for, the short parts first."""
    threads, rounds, streams = str(setting.threads), options.rounds, options.streams
    parts: list[tuple[str, Callable[[], None]]] = [
        ("memory", lambda: print_lines(idle_memory(setting, "tiny"))),
        ("prefix", lambda: print_lines(prefix_reuse(setting, "small", rounds))),
        ("weights", lambda: _own_process("step", "--models", "small", "--batches", "1", "--threads", threads)),
        ("int8", lambda: _own_process("int8", "--threads", threads)),
        ("site", lambda: compare_through_site(setting, "demo-base", streams, rounds)),
    ]
    asked = [(name, measure) for name, measure in parts if name in options.only]
    peers = [name for name in PEERS if name in options.only]
    for model in options.models if peers else ():
        asked.append((f"peers on {model}", partial(compare_with_peers, setting, model, peers, streams, rounds)))
    return asked


def _own_process(module: str, *options: str) -> None:
    """Run a benchmark that imports torch; this process stays without it."""
    subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *options], cwd=ROOT, check=True)


def choice(known: tuple[str, ...]) -> "type[str]":
    """The type of an option that names some of these, with commas between them."""

    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word for word in text.split(",") if word)
        if unknown := sorted(set(words) - set(known)):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; choose from {', '.join(known)}")
        return words

    return parse  # type: ignore[return-value]


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


if __name__ == "__main__":
    sys.exit(main())
