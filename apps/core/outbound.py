"""The one door for outgoing HTTP: a client per event loop, with time limits, without proxies and redirects.

It opens connections; which addresses may be called is decided by who calls it (the worker client calls only addresses
that an enrolled worker gave). Nothing here fetches an address that a user typed.
"""

import asyncio
from weakref import WeakKeyDictionary

import httpx

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 45.0
"""Workers send a heartbeat every 15 s, so three missed ones mean that nobody is there."""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


def http_client() -> httpx.AsyncClient:
    """Return the running event loop's client; connections are pooled and reused."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=2000, max_keepalive_connections=100, keepalive_expiry=30),
            follow_redirects=False,
            trust_env=False,
        )
        _clients[loop] = client
    return client
