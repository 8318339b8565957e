"""The life of a serving process: listen, load, enrol; on a signal drain, tell, stop.

One coroutine; its result is the exit code.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Iterator

import uvicorn

from gpu_worker.server.app import build_app
from gpu_worker.server.cli import STOP_S, ServeOptions
from gpu_worker.server.identity import Identity, write_identity
from gpu_worker.server.lease import Credentials, LeaseClient
from gpu_worker.server.worker import Worker

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: a signal starts draining here, not stopping."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(options: ServeOptions, listener: socket.socket) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0, or 1 when no model could be served."""
    lease: LeaseClient | None = None

    def renew() -> None:
        if lease is not None:
            lease.poke()

    worker = Worker(options.specs, options.serving, access_token=options.access_token, on_change=renew)
    address = _address(listener, is_tls=options.tls_cert is not None)
    base_url = options.base_url or address
    if options.site:
        lease = LeaseClient(
            options.site,
            options.worker_id,
            _credentials(options),
            lambda: worker.lease_request(base_url, options.speed),
            on_granted=worker.site_took_note,
            tls=ssl.create_default_context(cafile=options.site_ca),
        )
        worker.is_offered = False
    server = _Server(
        uvicorn.Config(
            build_app(worker),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=int(STOP_S),
            http="httptools",
            ssl_certfile=options.tls_cert,
            ssl_keyfile=options.tls_key,
        )
    )
    sys.stdout.write(f"listening on {address}\n")
    sys.stdout.flush()
    return await _run(worker, server, lease, listener, options)


async def _run(
    worker: Worker, server: uvicorn.Server, lease: LeaseClient | None, listener: socket.socket, options: ServeOptions
) -> int:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    enrolling = asyncio.create_task(lease.run()) if lease else None
    worker.pool.start_loading()
    failed = await _stopped_or_failed(worker, told_to_stop)
    if not failed:
        await _drain(worker, lease, options.drain_s)
    if enrolling is not None and lease is not None:
        enrolling.cancel()
        await lease.leave()
    await asyncio.to_thread(worker.pool.close, STOP_S)
    await asyncio.sleep(0)  # lets the last outputs, called from the engines' threads, reach their generations
    server.should_exit = True
    await serving
    if failed:
        sys.stderr.write("gpu_worker serve: no model could be served; see the lines above\n")
    return 1 if failed else 0


async def _stopped_or_failed(worker: Worker, told_to_stop: asyncio.Event) -> bool:
    """Wait for a signal. True: every model has failed, so there is nothing to wait for."""
    stopped = asyncio.create_task(told_to_stop.wait())
    loaded = asyncio.create_task(worker.pool.loaded.wait())
    await asyncio.wait({stopped, loaded}, return_when=asyncio.FIRST_COMPLETED)
    loaded.cancel()
    if not stopped.done() and not worker.pool.can_serve:
        stopped.cancel()
        return True
    await stopped
    return False


async def _drain(worker: Worker, lease: LeaseClient | None, drain_s: float) -> None:
    """Take nothing new, let what runs finish for a while."""
    worker.is_draining = True
    logger.info("told to stop: %d requests have %g s to finish", worker.pool.n_requests, drain_s)
    if lease is not None:
        lease.poke()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(worker.idle(), drain_s)


def _credentials(options: ServeOptions) -> Credentials:
    def keep(secret: str) -> None:
        if options.identity is not None:
            write_identity(options.identity, Identity(options.worker_id, secret))
        else:
            logger.info("this worker needs a new token when it is restarted; --identity FILE would keep its secret")

    return Credentials(options.enrolment_token, options.secret, keep)


def _address(listener: socket.socket, *, is_tls: bool) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if is_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
