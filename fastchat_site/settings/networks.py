"""Networks as settings name them: loud on nonsense."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured


def networks(name: str, texts: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    """Read the setting `name`. Raises: ImproperlyConfigured, naming the setting and what is no network."""
    try:
        return [ip_network(text.strip()) for text in texts]
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}: {exc}. Give networks such as 10.0.0.0/8, comma-separated") from exc
