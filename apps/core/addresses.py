"""Which network addresses the site never calls, whoever names them. Pure.

Private networks are not among them: workers live there. These are addresses that mean something else than they seem to,
or that answer with a machine's own credentials.

Source: IANA special-purpose address registries; RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo), 4291 section
2.5.5 (IPv4 inside IPv6); the metadata addresses are those that AWS, Azure and Alibaba document beyond link-local ones.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA = [ip_network(text) for text in ("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128")]
_IPV4_INSIDE = [
    ip_network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


def why_forbidden(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Say in a few words why this address is not called; None if it may be. `allowed` networks always may."""
    if any(address in network for network in allowed):
        return None
    if address == IPv6Address("::1"):
        return None  # it lies within ::/96, and is meant as it looks
    if any(address in network for network in _METADATA):
        return "a metadata address of a cloud"
    if any(address in network for network in _IPV4_INSIDE):
        return "an IPv4 address inside an IPv6 one"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_unspecified or address in IPv4Network("0.0.0.0/8"):
        return "no address of one machine"
    return "reserved" if address.is_reserved else None
