"""A real worker behind a real socket, in a thread of this process: the model loads in milliseconds."""

import asyncio
import faulthandler
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from gpu_worker.engine.interface import EngineKind
from gpu_worker.modeling.source import ModelSpec
from gpu_worker.server.app import build_app
from gpu_worker.server.models import ServingOptions
from gpu_worker.server.store import GenerationStore
from gpu_worker.server.worker import Worker

TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """Where it listens, and its inside for assertions."""

    url: str
    worker: Worker

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=HEADERS, timeout=30, trust_env=False)

    def metric(self, name: str, **labels: str) -> float:
        return self.worker.metrics.registry.get_sample_value(f"fastchat_worker_{name}", labels) or 0.0


@contextmanager
def live_worker(
    models: dict[str, Path],
    options: ServingOptions | None = None,
    store: GenerationStore | None = None,
    *,
    templates: dict[str, str] | None = None,
    engine: EngineKind | None = None,
) -> Iterator[LiveWorker]:
    """Serve `models` (name to folder) until the block ends. `templates`: prompt formats for some of them."""
    started = threading.Event()
    box: dict[str, object] = {}
    # Listening already: who connects before uvicorn accepts waits in the queue of the socket.
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        specs = [
            ModelSpec(str(path), name, template=(templates or {}).get(name), engine=engine)
            for name, path in models.items()
        ]
        worker = Worker(
            specs, options or ServingOptions(device="cpu", dtype="float32"), access_token=TOKEN, store=store
        )
        config = uvicorn.Config(build_app(worker), log_config=None, lifespan="off", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        worker.pool.start_loading()
        await worker.pool.loaded.wait()
        box.update(url=f"http://127.0.0.1:{listener.getsockname()[1]}", worker=worker, server=server)
        started.set()
        await serving
        await asyncio.to_thread(worker.pool.close, 5)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(60), "the worker did not start"
    worker, server = box["worker"], box["server"]
    assert isinstance(worker, Worker)
    assert isinstance(server, uvicorn.Server)
    try:
        yield LiveWorker(str(box["url"]), worker)
    finally:
        server.should_exit = True
        thread.join(30)  # seconds: each model has 5 to stop, and each open connection 2
        if thread.is_alive():
            faulthandler.dump_traceback()
            raise AssertionError("the worker did not stop; what its threads do stands in the captured output")


def usage_of(n_prompt: int, n_generated: int, *, n_cached: int = 0) -> dict[str, object]:
    """The usage of an answer, in OpenAI's shape."""
    return {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_generated,
        "total_tokens": n_prompt + n_generated,
        "prompt_tokens_details": {"cached_tokens": n_cached},
    }


def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for something that happens on another thread and has no event of its own."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextmanager
def waiting_caller(worker: LiveWorker, path: str, body: dict[str, object]) -> Iterator[None]:
    """Somebody asks, reads nothing, and hangs up at the end of the block."""
    address, content = httpx.URL(worker.url), json.dumps(body).encode()
    with socket.create_connection((address.host, address.port or 0), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: worker\r\nAuthorization: {HEADERS['Authorization']}\r\n"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        yield
