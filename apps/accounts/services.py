"""API keys: made once, shown once, stored as a digest.

A key is 32 random bytes, so a plain SHA-256 is enough: there is nothing to guess and no dictionary to try, which
is what slow password hashes are for.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid, KeyNameEmpty, KeyNameTaken
from apps.accounts.models import ApiKey, User

KEY_MARK = "fcs_"
"""Every key starts with it, so that scanners for leaked secrets can find one."""

_USE_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that has just been made. `secret` exists here and with its owner only."""

    key: ApiKey
    secret: str = field(repr=False)


def api_key_create(*, name: str, user: User | None) -> NewKey:
    """Make a key. Raises: KeyNameEmpty, KeyNameTaken."""
    name = name.strip()
    if not 0 < len(name) <= 100 or "\0" in name:
        raise KeyNameEmpty
    secret = KEY_MARK + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(user=user, name=name, prefix=secret[:10], digest=_digest(secret))
    except IntegrityError as exc:
        raise KeyNameTaken(name=name) from exc
    return NewKey(key=key, secret=secret)


def api_key_revoke(key: ApiKey) -> None:
    """From now on the key opens nothing. The row stays, so that its use can be looked up."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


def api_key_authenticate(secret: str) -> Actor:
    """Return whoever the key belongs to, and note its use to the minute. Raises: KeyInvalid."""
    key = ApiKey.objects.filter(digest=_digest(secret), revoked_at=None).select_related("user").first()
    if key is None or (key.user is not None and not key.user.is_active):
        raise KeyInvalid
    now = timezone.now()
    ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_RESOLUTION), pk=key.pk).update(
        last_used_at=now
    )
    return Actor(user_id=key.user_id, api_key_id=key.pk)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
