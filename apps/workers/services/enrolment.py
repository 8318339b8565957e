"""Who may be a worker: one-time tokens, and the secret that each worker gets for one.

Tokens and secrets are 32 random bytes, stored as a plain SHA-256: there is nothing to guess.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from apps.workers.addresses import AddressRefused, read_allowed
from apps.workers.errors import AllowedMalformed, CredentialWrong, SecretWeak, TokenExpired, TokenUsed, WorkerAlive
from apps.workers.models import EnrolmentToken, Worker

TOKEN_MARK = "fce_"  # noqa: S105  # what every token begins with
SECRET_MARK = "fcw_"  # noqa: S105
"""Scanners for leaked secrets can find either."""

MIN_SECRET_CHARS = 32
"""Of a secret that somebody brings: it is stored as a plain digest, so it must not be guessable."""

TOKEN_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been made. `secret` exists here and with whoever starts the worker."""

    token: EnrolmentToken
    secret: str = field(repr=False)


def token_create(*, label: str = "", allowed: str = "", life: timedelta = TOKEN_LIFE) -> NewToken:
    """Make a token that lets one worker enrol, once. Raises: AllowedMalformed."""
    secret = TOKEN_MARK + secrets.token_urlsafe(32)
    token = EnrolmentToken.objects.create(
        label=label[:100],
        prefix=secret[:10],
        digest=_digest(secret),
        allowed=_allowed(allowed),
        expires_at=timezone.now() + life,
    )
    return NewToken(token, secret)


def secret_create() -> str:
    return SECRET_MARK + secrets.token_urlsafe(32)


def worker_register(*, worker_id: UUID, secret: str, allowed: str) -> Worker:
    """Enrol a worker by hand: it may come with this secret at once, from the addresses allowed. Replaces an older one.

    Raises: AllowedMalformed, SecretWeak.
    """
    if len(secret) < MIN_SECRET_CHARS:
        raise SecretWeak(length=MIN_SECRET_CHARS)
    worker, _ = Worker.objects.update_or_create(
        public_id=worker_id,
        defaults={"secret_digest": _digest(secret), "is_secret_known": True, "allowed": _allowed(allowed)},
    )
    return worker


def worker_authenticate(worker_id: UUID, bearer: str) -> Worker:
    """The worker that this secret belongs to; its row is locked. Raises: CredentialWrong."""
    digest = _digest(bearer)
    worker = Worker.objects.select_for_update().filter(public_id=worker_id).exclude(secret_digest="").first()
    if worker is None or not secrets.compare_digest(worker.secret_digest, digest):
        raise CredentialWrong
    if not worker.is_secret_known:
        Worker.objects.filter(pk=worker.pk).update(is_secret_known=True)
    return worker


def worker_enrol(worker_id: UUID, bearer: str) -> tuple[Worker, str]:
    """Use up a token; return the worker, whose row is locked, and its new secret. Call it in a transaction.

    The same worker may repeat it until it has shown the secret once: the reply that brought it may have been lost.

    Raises: CredentialWrong, TokenExpired, TokenUsed, WorkerAlive.
    """
    token = EnrolmentToken.objects.select_for_update().filter(digest=_digest(bearer)).first()
    if token is None:
        raise CredentialWrong
    worker = Worker.objects.select_for_update().filter(public_id=worker_id).first()
    repeats = worker is not None and token.worker_id == worker.pk and not worker.is_secret_known
    if token.used_at is not None and not repeats:
        raise TokenUsed
    if token.expires_at <= timezone.now():
        raise TokenExpired
    if worker is not None and not repeats and worker.is_alive(timezone.now()):
        raise WorkerAlive
    worker = worker or Worker(public_id=worker_id)
    secret = secret_create()
    worker.secret_digest, worker.is_secret_known, worker.allowed = _digest(secret), False, token.allowed
    worker.save()
    token.used_at, token.worker = timezone.now(), worker
    token.save(update_fields=["used_at", "worker"])
    return worker, secret


def _allowed(text: str) -> str:
    try:
        return " ".join(read_allowed(text))
    except AddressRefused as exc:
        raise AllowedMalformed(reason=str(exc)) from exc


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
