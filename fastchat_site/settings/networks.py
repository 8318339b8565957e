"""Networks as settings name them: loud on nonsense."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured


def networks(texts: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    """Raises: ImproperlyConfigured, naming what is no network."""
    try:
        return [ip_network(text.strip()) for text in texts]
    except ValueError as exc:
        raise ImproperlyConfigured(
            f"TRUSTED_PROXIES: {exc}. Give networks such as 10.0.0.0/8, comma-separated"
        ) from exc
