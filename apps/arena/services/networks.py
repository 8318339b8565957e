"""From which network a visitor's vote came, as a keyed digest: the cookie can be thrown away, the network hardly.

Of an address only the network counts, for people have many addresses of one; the address itself is stored nowhere. The
key is random, known to the site's database alone, and replaced after a week, without a copy of the old one: whoever has
the database later cannot find the network of an older vote by trying all of them.
"""

import hmac
import secrets
from datetime import timedelta

from django.utils import timezone

from apps.arena.models import NetworkKey
from apps.core.networks import network_of

KEY_LASTS = timedelta(days=7)
KEY_BYTES = 32
IPV4_PREFIX, IPV6_PREFIX = 24, 48
"""What one customer of a provider has at most, as a rule: wider than a ban's. Source: RFC 6177, section 2, for IPv6."""


def voters_network(address: str) -> str:
    """Of the network that this address is in; empty for what is no address, as behind a unix socket."""
    network = network_of(address, ipv4_prefix=IPV4_PREFIX, ipv6_prefix=IPV6_PREFIX)
    return hmac.digest(_key(), network.encode(), "sha256").hex() if network else ""


def _key() -> bytes:
    now = timezone.now()
    key, _ = NetworkKey.objects.get_or_create(pk=1, defaults={"secret": _new(), "made_at": now})
    if key.made_at < now - KEY_LASTS:
        # Whoever comes first replaces it; all others take what is there then.
        NetworkKey.objects.filter(pk=1, made_at=key.made_at).update(secret=_new(), made_at=now)
        key.refresh_from_db()
    return bytes(key.secret)


def _new() -> bytes:
    return secrets.token_bytes(KEY_BYTES)
