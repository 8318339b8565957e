"""The door to Hugging Face's hub: the library's own client, but one that calls only addresses which the site calls.

A hub names further addresses, for large files. What is fetched and sent through it is its neighbours' business.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from logging import ERROR
from threading import Lock

import httpx2
from django.conf import settings

from apps.core.addresses import Address, why_forbidden

_CONNECT_TIMEOUT_S, _TIMEOUT_S = 10.0, 120.0


class AddressForbidden(httpx2.TransportError):
    """See OUTBOUND_ALLOWED_NETWORKS."""


class _CheckedTransport(httpx2.BaseTransport):
    """Calls the addresses that were checked, and no name again; as `apps.core.outbound` does."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._inner: dict[str, httpx2.HTTPTransport] = {}
        self._opening = Lock()  # the library fetches several files at once, in threads

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        *others, last = _checked_addresses(host, request.url.port or {"https": 443}.get(request.url.scheme, 80))
        for address in others:
            # Without a connection nothing was sent, so that the body is still whole for the next address.
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return self._call(request, host, address)
        return self._call(request, host, last)

    def close(self) -> None:
        for transport in self._inner.values():
            transport.close()

    def _call(self, request: httpx2.Request, host: str, address: Address) -> httpx2.Response:
        # Another one, for an address that the answer gives without a name is of this request's name.
        called = httpx2.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        # A connection that was verified for one name is never used for another one at the same address.
        with self._opening:
            if host not in self._inner:
                self._inner[host] = httpx2.HTTPTransport(verify=self._tls, trust_env=False)
        return self._inner[host].handle_request(called)


def _checked_addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise httpx2.ConnectError(f"no address is known for {host}") from exc
    addresses = [ip_address(str(info[4][0])) for info in found]
    for address in addresses:
        if (reason := why_forbidden(address, settings.OUTBOUND_ALLOWED_NETWORKS)) is not None:
            raise AddressForbidden(f"{host} is {address}, which is {reason}: the site does not call it")
    return addresses


def _client() -> httpx2.Client:
    from huggingface_hub.utils._http import hf_request_event_hook

    tls = ssl.create_default_context()
    if settings.OUTBOUND_CA_FILE:
        tls.load_verify_locations(settings.OUTBOUND_CA_FILE)
    return httpx2.Client(
        event_hooks={"request": [hf_request_event_hook]},
        follow_redirects=True,
        timeout=httpx2.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        transport=_CheckedTransport(tls),
        trust_env=False,
    )


@contextmanager
def hub_door() -> Iterator[None]:
    """The library's client is one for the process: it gets ours, and its own again."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils._http import default_client_factory

    # Xet has connections of its own, of which nobody looks at the addresses.
    is_without_xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    # It warns of each try that failed, with the whole address, which is signed.
    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    set_client_factory(_client)
    try:
        yield
    finally:
        set_client_factory(default_client_factory)
        logging.set_verbosity(verbosity)
        constants.HF_HUB_DISABLE_XET = is_without_xet
