"""API keys: made once, shown once, stored as a digest.

A key is 32 random bytes, so a plain SHA-256 is enough: there is nothing to guess and no dictionary to try, which
is what slow password hashes are for.
"""

import hashlib
import secrets
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts import selectors
from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid, KeyNameEmpty, KeyNameTaken, KeyScopeWrong
from apps.accounts.key_scope import UNRESTRICTED, KeyScope, is_within
from apps.accounts.models import ApiKey, User

KEY_MARK = "fcs_"
"""Every key starts with it, so that scanners for leaked secrets can find one."""

_USE_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that has just been made. `secret` exists here and with its owner only."""

    key: ApiKey
    secret: str = field(repr=False)


def api_key_create(*, name: str, user: User | None, scope: KeyScope = UNRESTRICTED) -> NewKey:
    """Make a key. Raises: KeyNameEmpty, KeyNameTaken, KeyScopeWrong."""
    name = name.strip()
    if not 0 < len(name) <= 100 or "\0" in name:
        raise KeyNameEmpty
    scope.check()
    if scope.expires_at is not None and scope.expires_at <= timezone.now():
        raise KeyScopeWrong(field="expires_at", reason="That time has passed: choose a later one.")
    secret = _new_secret()
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                user=user, name=name, prefix=_prefix(secret), digest=_digest(secret), **asdict(scope)
            )
    except IntegrityError as exc:
        raise KeyNameTaken(name=name) from exc
    return NewKey(key=key, secret=secret)


def api_key_rotate(key: ApiKey, *, overlap: timedelta) -> NewKey:
    """Give the key another secret; the one that it has opens for `overlap` more, the one before that no longer.

    Raises: KeyInvalid for a key that opens nothing, because it is revoked or has expired or its owner is disabled.
    """
    secret = _new_secret()
    with transaction.atomic():
        row = selectors.keys_active(timezone.now()).select_for_update(of=("self",)).filter(pk=key.pk).first()
        if row is None:
            raise KeyInvalid
        is_kept = overlap > timedelta(0)
        row.previous_prefix = row.prefix if is_kept else ""
        row.previous_digest = row.digest if is_kept else None
        row.previous_expires_at = timezone.now() + overlap if is_kept else None
        row.prefix, row.digest = _prefix(secret), _digest(secret)
        row.save(update_fields=["prefix", "digest", "previous_prefix", "previous_digest", "previous_expires_at"])
    return NewKey(key=row, secret=secret)


def api_key_revoke(key: ApiKey) -> None:
    """From now on the key opens nothing. The row stays, so that its use can be looked up."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


def api_key_authenticate(secret: str, *, client_ip: str) -> Actor:
    """Return whoever the key belongs to, and note its use to the minute. Raises: KeyInvalid.

    `client_ip` is what `apps.core.client_ip` says; what else the key is restricted to is asked by `key_check`.
    """
    digest, now = _digest(secret), timezone.now()
    fits = Q(digest=digest) | Q(previous_digest=digest, previous_expires_at__gt=now)
    key = selectors.keys_active(now).filter(fits).first()
    if key is None or not is_within(client_ip, key.ip_ranges):
        raise KeyInvalid
    if key.last_used_at is None or key.last_used_at < now - _USE_RESOLUTION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Actor(user_id=key.user_id, api_key_id=key.pk, api_key=key)


def _new_secret() -> str:
    return KEY_MARK + secrets.token_urlsafe(32)


def _prefix(secret: str) -> str:
    return secret[:10]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
