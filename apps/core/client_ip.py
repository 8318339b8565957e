"""Where a request comes from. The one place that reads forwarding headers, and only from proxies that are trusted."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.conf import settings

Address = IPv4Address | IPv6Address


def client_ip(meta: Mapping[str, Any]) -> str:
    """The address of the client, from `request.META`; empty if there is none, as behind a unix socket.

    The peer's own address, unless the setting TRUSTED_PROXIES names it: then the nearest address in X-Forwarded-For
    that is no such proxy, because each proxy appends the address that it saw, and what is further left anybody may
    have written.
    """
    peer = parse_address(str(meta.get("REMOTE_ADDR") or ""))
    if peer is None:
        return ""
    hops = str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    return str(_nearest_stranger(peer, reversed(hops)))


def parse_address(text: str) -> Address | None:
    """None for what is no address. An IPv4 address written as IPv6 is the IPv4 address."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _nearest_stranger(nearest: Address, hops: Iterable[str]) -> Address:
    for hop in hops:
        if not any(nearest in network for network in settings.TRUSTED_PROXIES):
            break
        address = parse_address(hop)
        if address is None:
            break
        nearest = address
    return nearest
