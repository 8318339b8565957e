"""Secrets that the site must send again, such as keys of providers: encrypted at rest, each for one use alone.

What is sealed says what it is for (an address), and is opened for that only: a row whose address was changed past the
site does not take its secret there. Nothing here knows where sealed texts are kept.
"""

import base64
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.core.errors import SiteError

_INFO = b"fastchat-site: sealed secrets, 1"
"""Keeps the derived keys apart from all else that is derived from the same passphrase."""


class SecretUnreadable(SiteError):
    """A stored secret was sealed with a key that is not among ENCRYPTION_KEYS, or was sealed for something else."""

    code = "site.secret_unreadable"
    http_status = 503


def seal(secret: str, *, use: str) -> str:
    """Encrypt `secret`, to be opened for the same `use` alone. An empty one stays empty."""
    if not secret:
        return ""
    return _box().encrypt(json.dumps([use, secret]).encode()).decode()


def unseal(sealed: str, *, use: str) -> str:
    """Raises: SecretUnreadable."""
    if not sealed:
        return ""
    try:
        sealed_for, secret = json.loads(_box().decrypt(sealed))
    except InvalidToken as exc:
        raise SecretUnreadable(reason="it was encrypted with another key") from exc
    if sealed_for != use:
        raise SecretUnreadable(reason="it was given for another address")
    return str(secret)


def reseal(sealed: str) -> str:
    """Encrypt what is sealed with the first of the keys, which are tried in order. Raises: SecretUnreadable."""
    if not sealed:
        return ""
    try:
        return _box().rotate(sealed).decode()
    except InvalidToken as exc:
        raise SecretUnreadable(reason="it was encrypted with another key") from exc


def _box() -> MultiFernet:
    if not settings.ENCRYPTION_KEYS:
        raise ImproperlyConfigured("set SECRET_KEY or ENCRYPTION_KEYS: there are secrets to be encrypted")
    return _box_of(tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=8)
def _box_of(passphrases: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(passphrase)) for passphrase in passphrases])


def _derived(passphrase: str) -> bytes:
    """Source: RFC 5869. The passphrases are long and random, so there is nothing to make slow."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(passphrase.encode())
    return base64.urlsafe_b64encode(key)
