"""From which network a request comes, as a keyed digest: the same network is known again, and no address is kept."""

from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_network
from typing import Any

from django.utils.crypto import salted_hmac

from apps.core.client_ip import client_ip, parse_address

IPV6_PREFIX = 64
"""What a household gets. Source: RFC 6177; of IPv4, an address."""

network_var: ContextVar[str] = ContextVar("network", default="")
"""Of the request or socket that is being served; empty if nobody knows."""


def network_note(meta: Mapping[str, Any]) -> None:
    """Note it for whatever is done for this request. `meta`: as `request.META`."""
    network_var.set(network_digest(client_ip(meta)))


def network_note_socket(scope: Mapping[str, Any]) -> None:
    """As `network_note`, of a socket."""
    network_note(socket_meta(scope))


def socket_meta(scope: Mapping[str, Any]) -> dict[str, str]:
    """As much of `request.META` as says where a socket comes from."""
    peer = scope.get("client") or ("",)
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return {"REMOTE_ADDR": peer[0], "HTTP_X_FORWARDED_FOR": ",".join(forwarded)}


def network_of(address: str, *, ipv4_prefix: int, ipv6_prefix: int) -> str:
    """Such as 203.0.113.0/24; empty for what is no address."""
    parsed = parse_address(address)
    if parsed is None:
        return ""
    prefix = ipv6_prefix if isinstance(parsed, IPv6Address) else ipv4_prefix
    return str(ip_network((parsed, prefix), strict=False))


def network_digest(address: str) -> str:
    """Empty for what is no address."""
    network = network_of(address, ipv4_prefix=32, ipv6_prefix=IPV6_PREFIX)
    return salted_hmac("core.network", network, algorithm="sha256").hexdigest() if network else ""
