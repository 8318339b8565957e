"""Ports: whether one is free, and which one a worker gets.

A free port can be taken a moment later; these answers exist to say what is wrong before anything starts.
"""

import errno
import socket

from .errors import BadOption, PortTaken

FIRST_WORKER_PORT = 9100  # below the range from which the kernel picks ports for outgoing connections
LAST_WORKER_PORT = 9999


def check_address(host: str, port: int) -> None:
    """Make sure that a server could listen there now.

    Raises:
        PortTaken: another process listens there.
        BadOption: there is no such address on this machine, or we may not use the port.
    """
    try:
        _bind(host, port)
    except socket.gaierror as exc:
        raise BadOption(f"--host {host}: there is no such address ({exc.strerror}).") from exc
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise PortTaken(f"Port {port} on {host} is taken: free it, or choose another --port.") from exc
        raise BadOption(f"--host {host} --port {port}: the site cannot listen there ({exc.strerror}).") from exc


def free_ports(count: int, *, taken: int) -> list[int]:
    """That many free ports on 127.0.0.1 other than `taken`, lowest first.

    Raises:
        PortTaken: there are not enough.
    """
    found: list[int] = []
    for port in range(FIRST_WORKER_PORT, LAST_WORKER_PORT + 1):
        if len(found) == count:
            return found
        if port != taken and _is_free(port):
            found.append(port)
    raise PortTaken(f"There are no {count} free ports for workers from {FIRST_WORKER_PORT} to {LAST_WORKER_PORT}.")


def _is_free(port: int) -> bool:
    try:
        _bind("127.0.0.1", port)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        # As uvicorn does: connections that an earlier server closed do not keep the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
