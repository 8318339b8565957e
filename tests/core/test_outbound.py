"""The one door for outgoing HTTP: what it calls, and what it never does."""

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from apps.core.addresses import why_forbidden
from apps.core.outbound import AddressForbidden, NameUnresolved, http_client
from tests.certificates import certificate


@pytest_asyncio.fixture(autouse=True)
async def closed_client() -> AsyncIterator[None]:
    yield
    await http_client().aclose()


class Server(ThreadingHTTPServer):
    """Answers every request with its own Host header; `/away` redirects to this machine's port 9."""

    hosts: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.hosts = []
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each name resolves to, the next time it is asked; a name that is asked too often is unknown."""
    known: dict[str, list[str]] = {}

    async def getaddrinfo(self: object, host: str, port: int, **options: object) -> list[Any]:
        if not known.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in known[host].pop(0).split()]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return known


FORBIDDEN = [
    "169.254.169.254", "fe80::1", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "::ffff:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1", "0.0.0.0", "::",  # noqa: S104
    "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_forbidden_address_is_not_called_by_number_or_by_name(
    address: str, names: dict[str, list[str]]
) -> None:
    names["trap"] = [address]
    literal = f"[{address}]" if ":" in address else address
    for host in (literal, "trap"):
        with pytest.raises(AddressForbidden, match="does not call it"):
            await http_client().get(f"http://{host}:1/")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd00::1", "8.8.8.8", "2606::1"])
def test_workers_may_be_in_private_networks_and_on_this_machine(address: str) -> None:
    assert why_forbidden(ip_address(address)) is None


@given(st.ip_addresses(v=4))
def test_no_form_of_ipv4_inside_ipv6_is_called(inner: Any) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert why_forbidden(ip_address(int(ip_address(prefix)) + int(inner))) is not None
    assert why_forbidden(ip_address((0x2002 << 112) + (int(inner) << 80))) is not None


@given(st.sampled_from(FORBIDDEN))
def test_an_operator_may_allow_any_network(address: str) -> None:
    assert why_forbidden(ip_address(address), [ip_network(address)]) is None


async def test_one_forbidden_address_of_several_is_enough(names: dict[str, list[str]]) -> None:
    names["mixed"] = ["127.0.0.1 169.254.169.254"]
    with pytest.raises(AddressForbidden):
        await http_client().get("http://mixed:1/")


async def test_a_name_is_resolved_once_and_the_checked_address_is_called(names: dict[str, list[str]]) -> None:
    with serving() as server:
        names["worker"] = ["127.0.0.1"]  # asked a second time, it would be unknown
        reply = await http_client().get(f"http://worker:{server.server_port}/")
        assert (reply.status_code, server.hosts) == (200, [f"worker:{server.server_port}"])
    with pytest.raises(NameUnresolved):
        await http_client().get("http://worker:1/")


async def test_the_addresses_of_a_name_are_tried_in_order(names: dict[str, list[str]]) -> None:
    with serving() as server:
        names["worker"] = ["127.0.0.2 127.0.0.1"]  # nobody listens at the first
        reply = await http_client().get(f"http://worker:{server.server_port}/")
        assert (reply.status_code, server.hosts) == (200, [f"worker:{server.server_port}"])
        names["worker"] = ["127.0.0.2 127.0.0.3"]
        with pytest.raises(httpx.ConnectError):
            await http_client().get(f"http://worker:{server.server_port}/")


async def test_no_redirect_is_followed() -> None:
    with serving() as server:
        reply = await http_client().get(f"http://127.0.0.1:{server.server_port}/away")
    assert reply.status_code == 302


async def test_a_certificate_is_checked_against_the_name_although_the_address_is_called(
    names: dict[str, list[str]], tmp_path: Path, settings: Any
) -> None:
    cert, key = certificate(tmp_path, "worker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    settings.OUTBOUND_CA_FILE = str(cert)
    names.update({name: ["127.0.0.1"] for name in ("worker", "impostor")})
    with serving(context) as server:
        reply = await http_client().get(f"https://worker:{server.server_port}/")
        assert reply.status_code == 200
        with pytest.raises(httpx.ConnectError, match="impostor"):
            await http_client().get(f"https://impostor:{server.server_port}/")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OUTBOUND_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("OUTBOUND_CA_FILE", "/none"),
        ("DISPATCH_METHOD", "fastest"),
        ("QUEUE_WAIT_S", "-1"),
        ("QUEUE_WAIT_S", "inf"),
        ("WORKER_PATIENCE_S", "nan"),
        ("WORKER_PATIENCE_S", "5 min"),
        ("ENCRYPTION_KEYS", "short"),
    ],
)
def test_a_nonsensical_setting_stops_the_site_and_is_named(variable: str, value: str) -> None:
    code = f"import os; os.environ[{variable!r}] = {value!r}; import fastchat_site.settings.dev"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImproperlyConfigured" in done.stderr
    assert variable in done.stderr.splitlines()[-1]
