"""Asks the backends whether they are ready, writes nginx's file, and makes nginx read it."""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx
from django.conf import settings
from django.utils import timezone

from apps.core.outbound import http_client
from apps.gateway.errors import FileNotWritten, NginxRefused, NoBackends
from apps.gateway.models import WebBackend
from apps.gateway.nginx import Backend, upstream

CHECK_LIMIT_S = 3.0
NGINX_LIMIT_S = 30.0


def backends_check() -> list[WebBackend]:
    """Ask every enabled backend whether it is ready, all at once, and keep what was found. Raises: NoBackends."""
    backends = list(WebBackend.objects.all())
    if not backends:
        raise NoBackends
    asked = [backend for backend in backends if backend.is_enabled]
    for backend, problem in zip(asked, asyncio.run(_problems(asked)), strict=True):
        backend.is_healthy, backend.problem = not problem, problem[:200]
        backend.checked_at = timezone.now()
        # Not the whole row: an admin may be changing its weight.
        backend.save(update_fields=["is_healthy", "problem", "checked_at"])
    return backends


async def _problems(backends: Sequence[WebBackend]) -> list[str]:
    async with http_client() as client:
        return await asyncio.gather(*(_problem(client, backend) for backend in backends))


async def _problem(client: httpx.AsyncClient, backend: WebBackend) -> str:
    """Why the backend is not ready; empty if it is."""
    try:
        reply = await client.get(f"http://{backend.address}/ready", headers=_headers(), timeout=CHECK_LIMIT_S)
    except httpx.TransportError as exc:
        return f"no answer ({type(exc).__name__})"
    except httpx.InvalidURL as exc:
        return f"not an address ({exc})"
    return "" if reply.status_code == 200 else f"not ready (HTTP {reply.status_code})"


def _headers() -> dict[str, str]:
    """As nginx asks: a site that knows its own name answers to no other."""
    names = [host for host in settings.ALLOWED_HOSTS if host.strip(".*")]
    return {"X-Forwarded-Proto": "https"} | ({"Host": names[0].lstrip(".")} if names else {})


def config_text(backends: Sequence[WebBackend]) -> str:
    """nginx's list. One that is switched off gets nobody, whatever happens.

    If none of the others is ready, they are listed all the same: to ask one that may be back beats refusing everybody.
    """
    is_any_ready = any(backend.is_enabled and backend.is_healthy is not False for backend in backends)
    return upstream([_line(backend, is_any_ready=is_any_ready) for backend in backends])


def _line(backend: WebBackend, *, is_any_ready: bool) -> Backend:
    is_down = not backend.is_enabled or (is_any_ready and backend.is_healthy is False)
    return Backend(backend.name, backend.host, backend.port, backend.weight, is_down=is_down)


def config_write(backends: Sequence[WebBackend], path: Path) -> bool:
    """Write nginx's list of backends, at once and whole. False: it is there already. Raises: FileNotWritten."""
    text = config_text(backends)
    if _read(path) == text:
        return False
    _replace(path, text)
    return True


def config_apply(backends: Sequence[WebBackend], path: Path, nginx: Sequence[str]) -> bool:
    """Write the list and make nginx read it; its running streams go on. False: it has read just this list already.

    `nginx`: the program, and what it needs to find the configuration and the process that runs. If nginx does not
    accept the configuration or cannot be told, the file is put back as it was.

    What nginx was last told to read is kept beside the file: the file alone does not say that nginx has it.

    Raises: FileNotWritten, NginxRefused.
    """
    applied = path.with_name(f".{path.name}.applied")
    before, text = _read(path), config_text(backends)
    if before == text == _read(applied):
        return False
    _replace(path, text)
    try:
        _run([*nginx, "-t", "-q"])
        _run([*nginx, "-s", "reload"])
    except NginxRefused:
        if before is None:
            path.unlink()
        else:
            _replace(path, before)
        raise
    _replace(applied, text)
    return True


def _read(path: Path) -> str | None:
    """None: there is no file. Raises: FileNotWritten."""
    try:
        return path.read_text() if path.is_file() else None
    except OSError as exc:
        raise FileNotWritten(path=path, reason=exc.strerror or exc) from exc


def _replace(path: Path, text: str) -> None:
    """Raises: FileNotWritten."""
    try:
        _write(path, text)
    except OSError as exc:
        raise FileNotWritten(path=path, reason=exc.strerror or exc) from exc


def _write(path: Path, text: str) -> None:
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NGINX_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NginxRefused(command=" ".join(command), reason=exc) from exc
    if done.returncode:
        raise NginxRefused(command=" ".join(command), reason=done.stderr.strip())
