"""Starts what is measured, each server in processes of its own on loopback ports, and ends them by their ids.

All compute with the same number of threads and see the same environment. A server that is not being measured is
stopped (SIGSTOP), so that whatever it does while idle takes nothing from the one that is.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx

from benchmarks.gguf_export import Precision, gguf_file
from benchmarks.load import Door
from benchmarks.models import ROOT, model_folder

PEERS = ROOT / ".cache" / "peers"
START_LIMIT_S = 180.0
STOP_LIMIT_S = 30.0
WORKER_TOKEN = "benchmark-only"  # noqa: S105  # of a worker that lives for this run on the loopback address
SLOTS = 32
SLOT_TOKENS = 512
"""llama.cpp shares its context among its slots beforehand: enough for prompt and answer here."""


class PeerMissing(Exception):
    """A peer is not installed. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where to ask it, and its processes."""

    name: str
    door: Door
    processes: list[subprocess.Popen[bytes]]
    probe: str
    """The path that tells whether it is ready,"""
    proof: bytes = b""
    """and what the answer then holds."""

    def wait(self) -> None:
        """Raises: TimeoutError."""
        wait_for(self.door.url + self.probe, until=self.proof)

    @contextmanager
    def awake(self) -> Iterator[Door]:
        """Let it run for the length of the block, and stop it again."""
        self._signal(signal.SIGCONT)
        try:
            yield self.door
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended with {process.returncode}")
            os.killpg(process.pid, number)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all servers of a run have in common."""

    folder: Path
    """For logs."""
    threads: int


def start_worker(stack: ExitStack, setting: Setting, model: str, *options: str) -> Server:
    """This project's worker, without a site, in float32 as the peers are."""
    port = free_port()
    command = [sys.executable, "-m", "gpu_worker", "serve", "--model", f"{model_folder(model)}={model}"]
    command += ["--port", str(port), "--threads", str(setting.threads), "--dtype", "float32", *options]
    env = os.environ | {"FASTCHAT_WORKER_ACCESS_TOKEN": WORKER_TOKEN}
    process = stack.enter_context(child(command, env, setting.folder / f"worker-{port}.log"))
    door = Door(f"http://127.0.0.1:{port}", WORKER_TOKEN, model, ignores_end=True)
    return Server("worker", door, [process], "/ready")


def start_fastchat(stack: ExitStack, setting: Setting, model: str) -> Server:
    """FastChat's controller, model worker and API server.

    Its best setting: as many requests at a time as there are streams. Its default of 5 queues the others, which
    changes tokens/s by little and makes the first token wait several times as long. The template without a system
    message makes its prompts as long as everybody's.
    """
    python = _interpreter("fastchat")
    controller, worker, api = (free_port() for _ in range(3))
    at_controller = ["--controller-address", f"http://127.0.0.1:{controller}"]
    # So that its controller does not count a worker that was stopped for a while as dead.
    env = _peer_environment(setting) | {
        "FASTCHAT_CONTROLLER_HEART_BEAT_EXPIRATION": "86400",
        "LOGDIR": str(setting.folder),
    }
    # fmt: off
    commands = [
        ["fastchat.serve.controller", "--port", str(controller)],
        ["fastchat.serve.model_worker", "--port", str(worker), "--worker-address", f"http://127.0.0.1:{worker}",
         *at_controller, "--model-path", str(model_folder(model)), "--model-names", model, "--device", "cpu",
         "--conv-template", "raw", "--limit-worker-concurrency", str(SLOTS)],
        ["fastchat.serve.openai_api_server", "--port", str(api), *at_controller],
    ]
    # fmt: on
    processes = []
    for port, module in zip((controller, worker, api), commands, strict=True):
        command = [str(python), "-m", *module, "--host", "127.0.0.1"]
        processes.append(stack.enter_context(child(command, env, setting.folder / f"fastchat-{port}.log")))
        if port == controller:
            wait_for(f"http://127.0.0.1:{port}/docs")
    return Server("fastchat", Door(f"http://127.0.0.1:{api}", "", model), processes, "/v1/models", model.encode())


def start_transformers(stack: ExitStack, setting: Setting, model: str) -> Server:
    """`transformers serve` with continuous batching."""
    command = [str(_interpreter("transformers").with_name("transformers")), "serve", str(model_folder(model))]
    port = free_port()
    command += ["--continuous-batching", "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1"]
    log = setting.folder / f"transformers-{port}.log"
    process = stack.enter_context(child([*command, "--port", str(port)], _peer_environment(setting), log))
    door = Door(f"http://127.0.0.1:{port}", "", str(model_folder(model)))
    return Server("transformers", door, [process], "/health")


def start_llamacpp(stack: ExitStack, setting: Setting, model: str, precision: Precision) -> Server:
    """llama.cpp's server over the same weights."""
    script = ROOT / "benchmarks" / "peers" / "llamacpp_server.py"
    path, port = gguf_file(model_folder(model), precision), free_port()
    numbers = [str(number) for number in (port, setting.threads, SLOTS, SLOT_TOKENS)]
    command = [str(_interpreter("llamacpp")), str(script), str(path), *numbers]
    log = setting.folder / f"llamacpp-{port}.log"
    process = stack.enter_context(child(command, _peer_environment(setting), log))
    return Server(f"llamacpp-{precision}", Door(f"http://127.0.0.1:{port}", "", model), [process], "/health")


@contextmanager
def whole_site(setting: Setting, model: str) -> Iterator[Door]:
    """The site as `make run` starts it, with one worker, and a key for it."""
    data, port = setting.folder / "data", free_port()
    command = [sys.executable, "manage.py", "launch", "--port", str(port), "--data-dir", str(data), "--no-jobs"]
    with child([*command, "--model", f"{model_folder(model)}={model}"], dict(os.environ), setting.folder / "site.log"):
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/ready")
        key = subprocess.run(
            [sys.executable, "manage.py", "apikey", "create", "benchmark"],
            cwd=ROOT, env=os.environ | {"FASTCHAT_DATA_DIR": str(data)}, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        wait_for(f"{url}/v1/models/{model}", key=key, until=b'"state":"ready"')
        yield Door(url, key, model, ignores_end=True)


@contextmanager
def child(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the length of the block, in a group of its own; its log is shown when the block fails."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    except Exception:
        sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}\n")
        raise
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, which may be stopped; what is left of its group after that is killed."""
    if process.poll() is None:
        process.terminate()
        os.killpg(process.pid, signal.SIGCONT)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, *, key: str = "", until: bytes = b"") -> None:
    """Ask until the address answers 200 and the reply holds `until`. Raises: TimeoutError."""
    end = monotonic() + START_LIMIT_S
    while monotonic() < end:
        try:
            reply = httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, trust_env=False)
        except (httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout):
            reply = None
        if reply is not None and reply.status_code == 200 and until in reply.content:
            return
        sleep(0.1)
    raise TimeoutError(f"{url} is not ready after {START_LIMIT_S:g} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _interpreter(peer: str) -> Path:
    if not (PEERS / f"{peer}.stamp").is_file():
        raise PeerMissing(f"the peer {peer} is not installed; `make peers` does it")
    return PEERS / peer / "bin" / "python"


def _peer_environment(setting: Setting) -> dict[str, str]:
    """The worker sets the same for itself."""
    threads = {"OMP_NUM_THREADS": str(setting.threads), "MKL_NUM_THREADS": str(setting.threads)}
    return os.environ | threads | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
