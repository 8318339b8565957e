"""What an API key is restricted to: models, endpoints, addresses, and a time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network

from apps.accounts.errors import KeyScopeWrong
from apps.accounts.models import Endpoint
from apps.core.client_ip import parse_address

MAX_ITEMS = 50


@dataclass(frozen=True, slots=True)
class KeyScope:
    """An empty list restricts nothing. The names are those of the columns of `ApiKey`."""

    model_names: list[str] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)
    ip_ranges: list[str] = field(default_factory=list)
    expires_at: datetime | None = None

    def check(self) -> None:
        """Raises: KeyScopeWrong, naming the field."""
        for name in ("model_names", "endpoints", "ip_ranges"):
            if len(getattr(self, name)) > MAX_ITEMS:
                raise KeyScopeWrong(field=name, reason=f"At most {MAX_ITEMS} of them, one for each line.")
        for model in self.model_names:
            if len(model) > 200 or "\0" in model:
                raise KeyScopeWrong(field="model_names", reason=f"{model[:40]!r} is no name of a model.")
        for endpoint in self.endpoints:
            if endpoint not in Endpoint.values:
                raise KeyScopeWrong(field="endpoints", reason=f"{endpoint[:40]!r} is no endpoint.")
        for text in self.ip_ranges:
            if "%" in text:
                words = f"{text[:50]!r} names a zone, which means something on one machine only: leave it out."
                raise KeyScopeWrong(field="ip_ranges", reason=words)
            try:
                ip_network(text)
            except ValueError as exc:
                words = f"{text[:50]!r} is no address or network such as 192.0.2.7 or 10.0.0.0/8 ({exc})."
                raise KeyScopeWrong(field="ip_ranges", reason=words) from exc


UNRESTRICTED = KeyScope()


def is_within(client_ip: str, ip_ranges: Iterable[str]) -> bool:
    """Whether an address is in one of the ranges; an unknown one is in none. No ranges at all hold everything."""
    networks = [ip_network(text) for text in ip_ranges]
    address = parse_address(client_ip)
    return not networks or (address is not None and any(address in network for network in networks))
