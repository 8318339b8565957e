"""The one door for outgoing HTTP: a client per event loop, with time limits, without proxies and redirects.

A name is resolved once, every address that it has is checked, and only checked addresses are called: a name that points
elsewhere a moment later gains nothing. Who may name an address at all is decided by who calls this (the worker client
calls only addresses that an enrolment or an admin allows).
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings

from apps.core.addresses import Address, Network, why_forbidden

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 45.0
"""Workers send a heartbeat every 15 s, so three missed ones mean that nobody is there."""

_LIMITS = httpx.Limits(max_connections=2000, max_keepalive_connections=100, keepalive_expiry=4)
"""An idle connection is kept for less than the 5 s of uvicorn's, so that no request meets its being closed."""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


class AddressForbidden(httpx.TransportError):
    """The name leads to an address that the site does not call; see OUTBOUND_ALLOWED_NETWORKS."""


class NameUnresolved(httpx.TransportError):
    """No address is known for the name."""


def http_client() -> httpx.AsyncClient:
    """Return the running event loop's client; connections are pooled and reused."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
            transport=_CheckedTransport(_tls_context(), settings.OUTBOUND_ALLOWED_NETWORKS),
            follow_redirects=False,
            trust_env=False,
        )
        _clients[loop] = client
    return client


class _CheckedTransport(httpx.AsyncBaseTransport):
    """Calls the addresses that were checked, in order, until one takes the connection.

    TLS still verifies the name, and each name has connections of its own.
    """

    def __init__(self, tls: ssl.SSLContext, allowed: list[Network]) -> None:
        self._tls = tls
        self._allowed = allowed
        self._inner: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or {"https": 443}.get(request.url.scheme, 80)
        *others, last = await self._checked_addresses(host, port)
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in others:
            # Without a connection nothing was sent, so that the body is still whole for the next address.
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._call(request, host, address)
        return await self._call(request, host, last)

    async def aclose(self) -> None:
        for transport in self._inner.values():
            await transport.aclose()

    async def _call(self, request: httpx.Request, host: str, address: Address) -> httpx.Response:
        request.url = request.url.copy_with(host=str(address))
        return await self._transport(host).handle_async_request(request)

    def _transport(self, host: str) -> httpx.AsyncHTTPTransport:
        # A connection that was verified for one name is never used for another one at the same address.
        if host not in self._inner:
            self._inner[host] = httpx.AsyncHTTPTransport(verify=self._tls, limits=_LIMITS, trust_env=False)
        return self._inner[host]

    async def _checked_addresses(self, host: str, port: int) -> list[Address]:
        addresses = await _resolve(host, port)
        for address in addresses:
            if (reason := why_forbidden(address, self._allowed)) is not None:
                raise AddressForbidden(f"{host} is {address}, which is {reason}: the site does not call it")
        return addresses


async def _resolve(host: str, port: int) -> list[Address]:
    """Raises: NameUnresolved."""
    try:
        return [ip_address(host)]
    except ValueError:
        pass  # a name
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as exc:
        raise NameUnresolved(f"no address is known for {host}") from exc
    return [ip_address(str(info[4][0])) for info in found]


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.OUTBOUND_CA_FILE:
        context.load_verify_locations(settings.OUTBOUND_CA_FILE)
    return context
