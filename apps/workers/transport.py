"""Connections to workers and providers: what may go wrong before anything is said over one, and how it is kept."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from apps.core.outbound import AddressForbidden, NameUnresolved
from apps.workers.breaker import Fault

REFUSED = "connection refused"
SILENT = "silent for too long"

WHOLE_ANSWER_LIMIT_S = 3600.0
"""Nothing is heard of a whole answer before its end. Whoever asked leaves earlier: nginx waits as long as this."""

END_WITHIN_S = 0.1


class TransportFailed(Exception):
    """The connection could not be made or broke. `after` is the number of the last event that arrived.

    `fault` is None if it was not the worker's. `is_refused`: nobody listens at the address, so its process is gone.
    `is_silence`: somebody took the request and says nothing.
    """

    def __init__(self, cause: str, after: int, *, fault: Fault | None) -> None:
        super().__init__(cause)
        self.after = after
        self.fault = fault
        self.is_refused = cause == REFUSED
        self.is_silence = cause == SILENT


async def read_out(pieces: AsyncIterator[bytes]) -> None:
    """Take the end of a body, which comes at once, so that its connection can serve another request."""
    with suppress(TimeoutError, StopAsyncIteration, httpx.TransportError):
        async with asyncio.timeout(END_WITHIN_S):
            await anext(pieces)


def transport_failed(exc: httpx.TransportError, after: int) -> TransportFailed:
    """What went wrong, in a few words, and whether it was the other side's fault."""
    match exc:
        case AddressForbidden() | NameUnresolved():
            return TransportFailed(str(exc), after, fault=Fault.UNREACHABLE)
        case httpx.ConnectError():
            return TransportFailed(_why_unconnected(exc), after, fault=Fault.UNREACHABLE)
        case httpx.ConnectTimeout():
            return TransportFailed("no answer to the connection", after, fault=Fault.UNREACHABLE)
        case httpx.ReadTimeout():
            return TransportFailed(SILENT, after, fault=Fault.LOST)
        case httpx.PoolTimeout():
            return TransportFailed("the site has too many connections open", after, fault=None)
        case _:
            return TransportFailed("connection lost", after, fault=Fault.LOST)


def _why_unconnected(exc: httpx.ConnectError) -> str:
    """Only a refused connection says that nobody listens there; a route or a certificate may be mended meanwhile."""
    cause: BaseException = exc
    # httpcore hides the cause from tracebacks (`from None`); the context has it.
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
        if isinstance(cause, ConnectionRefusedError):
            return REFUSED
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause}"
    return f"cannot be reached: {str(cause) or type(cause).__name__}"
