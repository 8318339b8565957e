"""Whether a worker may say that it is at this address. Pure; nothing is resolved or called.

A stranger with a token must not point the site at a machine that is none of theirs.
"""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from apps.core.addresses import Address, Network, why_forbidden


class AddressRefused(ValueError):
    """Says why, and what to do, in words for whoever started the worker."""


def read_allowed(text: str) -> list[str]:
    """Networks, addresses and names, separated by commas or white space. Raises: AddressRefused."""
    entries = text.replace(",", " ").split()
    for entry in entries:
        if "/" in entry and _network(entry) is None:
            raise AddressRefused(f"{entry!r} is no network; write one like 10.0.0.0/8")
        if "://" in entry or len(entry) > 200:
            raise AddressRefused(f"{entry!r}: write networks, addresses and host names, not URLs")
    return entries


def check_address(
    base_url: str, *, peer: str, allowed: Sequence[str], allowed_networks: Sequence[Network] = ()
) -> None:
    """Accept where a worker says that it is: where it calls from, or what an admin allowed for it.

    `peer` is the address from which it calls, empty if there is none to be seen. `allowed_networks` lifts the general
    bans. Raises: AddressRefused.
    """
    host = _host(base_url)
    address = _address(host)
    if address is not None and (reason := why_forbidden(address, allowed_networks)):
        raise AddressRefused(f"{host} is {reason}; an operator may allow it with OUTBOUND_ALLOWED_NETWORKS")
    if any(_is_covered(host, address, entry) for entry in allowed):
        return
    from_here = _address(peer)
    if from_here is None:
        raise AddressRefused(f"the site cannot see from which address this worker calls: {_how_to_allow(host)}")
    is_local = host == "localhost" or (address is not None and address.is_loopback)
    if is_local and not from_here.is_loopback:
        raise AddressRefused(
            f"{host} is the worker's own machine, and the site is another one (it sees this worker at {peer}): "
            "start the worker with --host or --base-url and an address that the site can reach"
        )
    if not is_local and (address is None or address != from_here):
        raise AddressRefused(
            f"the site sees this worker at {peer}, not at {host}: use that address, or {_how_to_allow(host)}"
        )


def _how_to_allow(host: str) -> str:
    return f"enrol with a token that allows {host} (manage.py workers token --allow {host})"


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        parts.port  # noqa: B018  # raises for a port that is none
    except ValueError as exc:
        raise AddressRefused(f"{base_url!r} is no address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise AddressRefused(f"{base_url!r} is no address of the form http://HOST:PORT or https://HOST:PORT")
    if parts.query or parts.fragment:
        raise AddressRefused(f"{base_url!r}: an address has no query and no fragment")
    return parts.hostname


def _is_covered(host: str, address: Address | None, entry: str) -> bool:
    network = _network(entry)
    if network is None or address is None:
        return host == entry.lower()
    return address in network


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    """As it is written: IPv4 inside IPv6 is banned, and must not be taken for what is inside."""
    try:
        return ip_address(text)
    except ValueError:
        return None
