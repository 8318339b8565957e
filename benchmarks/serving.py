"""`make bench-serving`: tokens/s, time to first token and inter-token times of demo-base at 1, 8 and 32 streams.

Measured twice in one run, turn about: through the site (API key, dispatch, relay) and straight at a worker, which is
the peer. The client shares the machine's cores with what it measures, as it would on a small installation.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx

from benchmarks.load import Door, Load, run_load
from benchmarks.report import Figure, middle, percentile

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "models" / "demo-base"
STREAMS = (1, 8, 32)
START_LIMIT_S = 120.0
WORKER_TOKEN = "benchmark-only"  # noqa: S105  # of a worker that lives for this run on the loopback address


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; medians are printed")
    parser.add_argument("--requests", type=int, default=4, help="requests of each stream and run")
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder")
    options = parser.parse_args()
    print(f"# {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastchat-bench-")))
        folder.chmod(0o711)
        direct = stack.enter_context(bare_worker(options.model, folder))
        through = stack.enter_context(whole_site(options.model, folder))
        for door in (direct, through):
            run_load(door, streams=4, requests_each=1)  # warm
        for streams in STREAMS:
            compare(through, direct, streams=streams, rounds=options.rounds, requests=options.requests)
    return 0


def compare(through: Door, direct: Door, *, streams: int, rounds: int, requests: int) -> None:
    """Measure both doors turn about and print a line per figure."""
    loads: dict[str, list[Load]] = {"site": [], "worker": []}
    for _ in range(rounds):
        loads["worker"].append(run_load(direct, streams=streams, requests_each=requests))
        loads["site"].append(run_load(through, streams=streams, requests_each=requests))
    site, worker = (_figures(loads[kind]) for kind in ("site", "worker"))
    for name, (unit, target, less_is_better) in FIGURES.items():
        figure = Figure(f"serving.demo-base.{streams}.{name}", site[name], unit, worker[name], target, less_is_better)
        print(figure.line(), flush=True)


# What the site may cost on top of the worker; aims of ours, not taken from elsewhere.
FIGURES: dict[str, tuple[str, float | None, bool]] = {
    "tokens_per_s": ("tokens/s", 0.7, False),
    "ttft_p50": ("ms", None, True),
    "ttft_p95": ("ms", None, True),
    "inter_token_p50": ("ms", None, True),
    "inter_token_p95": ("ms", None, True),
}


def _figures(loads: list[Load]) -> dict[str, float]:
    def ms(values: list[list[float]], share: float) -> float:
        return 1000 * middle([percentile(one, share) for one in values])

    ttft, gaps = [load.ttft_s for load in loads], [load.gaps_s for load in loads]
    return {
        "tokens_per_s": middle([load.tokens_per_s for load in loads]),
        "ttft_p50": ms(ttft, 0.5),
        "ttft_p95": ms(ttft, 0.95),
        "inter_token_p50": ms(gaps, 0.5),
        "inter_token_p95": ms(gaps, 0.95),
    }


@contextmanager
def bare_worker(model: Path, folder: Path) -> Iterator[Door]:
    """A worker that belongs to no site."""
    port = "18931"
    command = [sys.executable, "-m", "gpu_worker", "serve", "--model", f"{model}=demo-base", "--port", port]
    env = os.environ | {"FASTCHAT_WORKER_ACCESS_TOKEN": WORKER_TOKEN}
    with child(command, env, folder / "worker.log"):
        door = Door(f"http://127.0.0.1:{port}", WORKER_TOKEN, "demo-base")
        wait_for(door.url + "/ready")
        yield door


@contextmanager
def whole_site(model: Path, folder: Path) -> Iterator[Door]:
    """The site as `make run` starts it, with one worker, and a key for it."""
    data = folder / "data"
    command = [sys.executable, "manage.py", "launch", "--port", "18930", "--data-dir", str(data), "--no-jobs"]
    with child([*command, "--model", f"{model}=demo-base"], dict(os.environ), folder / "site.log"):
        url = "http://127.0.0.1:18930"
        wait_for(url + "/ready")
        env = os.environ | {"FASTCHAT_DATA_DIR": str(data)}
        key = subprocess.run(
            [sys.executable, "manage.py", "apikey", "create", "benchmark"],
            cwd=ROOT, env=env, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        wait_for(url + "/v1/models/demo-base", key=key, until=b'"state":"ready"')
        yield Door(url, key, "demo-base")


@contextmanager
def child(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a process for the length of the block; what it says goes to `log`, shown when it fails."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    except Exception:
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(url: str, *, key: str = "", until: bytes = b"") -> None:
    """Ask until the address answers 200 and the reply holds `until`. Raises: TimeoutError."""
    end = monotonic() + START_LIMIT_S
    while monotonic() < end:
        try:
            reply = httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, trust_env=False)
        except (httpx.ConnectError, httpx.ReadError):
            reply = None
        if reply is not None and reply.status_code == 200 and until in reply.content:
            return
        sleep(0.1)
    raise TimeoutError(f"{url} is not ready after {START_LIMIT_S:g} s")


if __name__ == "__main__":
    sys.exit(main())
