"""What admins do with providers: add one, move it, change its key, map models to it. The key is never read here.

A provider is a worker that holds no lease: it is there until somebody drains or removes it.
"""

import re
import uuid
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.catalog.models import Kind as ModelKind
from apps.catalog.models import LanguageModel
from apps.catalog.services import model_ensure
from apps.core.addresses import why_forbidden
from apps.workers.errors import ProviderWrong
from apps.workers.models import MAX_SLOTS, RENEWED_WITHIN, HostedModel, HostedState, PoolRequest, RequestState, Worker
from apps.workers.providers.kinds import KINDS, Kind

ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)
"""When its lease runs out."""

MAX_LABEL, MAX_NAME, MAX_LENGTH = 100, 200, 2**31 - 1
N_HINT = 4
MIN_KEY_CHARS_TO_HINT = 16
"""Of a shorter key its end would be too much of it."""


@transaction.atomic
def provider_create(*, label: str, kind: str, base_url: str = "", key: str = "") -> Worker:
    """Add a provider. Without a `base_url` it is where its kind always is. Raises: ProviderWrong."""
    if not 0 < len(label.strip()) <= MAX_LABEL or "\0" in label:
        raise ProviderWrong(reason=f"A provider needs a name of 1 to {MAX_LABEL} characters")
    if Worker.objects.exclude(kind="").filter(label=label.strip()).exists():
        raise ProviderWrong(reason=f"There is a provider named {label.strip()!r} already")
    found = kind_get(kind)
    worker = Worker(
        public_id=uuid.uuid4(),
        kind=found.name,
        label=label.strip(),
        device=found.label,
        base_url=base_url_checked(found, base_url or found.base_url),
        lease_expires_at=ALWAYS,
    )
    key_checked(found, worker, worker.base_url, key)
    _key_put(worker, key)
    worker.save()
    return worker


@transaction.atomic
def provider_change(worker: Worker, *, base_url: str, key: str = "") -> None:
    """Move a provider or change its key, after which it may be asked at once.

    At another address the key must be given again. Raises: ProviderWrong.
    """
    worker = Worker.objects.select_for_update().get(pk=worker.pk)
    kind = kind_get(worker.kind)
    address = base_url_checked(kind, base_url)
    key_checked(kind, worker, address, key)
    if address == worker.base_url and not key:
        return  # then it is as busy or as broken as before
    worker.base_url = address
    if key:
        _key_put(worker, key)
    worker.rests_until = worker.cooling_until = None
    worker.save(update_fields=["base_url", "sealed_token", "token_hint", "rests_until", "cooling_until"])


@transaction.atomic
def model_map(
    worker: Worker,
    *,
    name: str,
    upstream_name: str,
    context_length: int | None = None,
    longest_answer: int | None = None,
    kind: ModelKind | None = None,
    sees_images: bool | None = None,
) -> HostedModel:
    """Offer the provider's model `upstream_name` as `name`, or change how.

    None leaves what is known; a length of 0 makes it unknown. A new model writes. Raises: as `mapping_checked`.
    """
    mapping_checked(
        worker.pk,
        name=name,
        upstream_name=upstream_name,
        context_length=context_length,
        longest_answer=longest_answer,
        kind=kind,
    )
    known = LanguageModel.objects.filter(name=name).first()
    kind = kind or (ModelKind.TEXT if known is None else ModelKind(known.kind))
    said = {} if longest_answer is None else {"longest_answer": longest_answer or None}
    hosted, _ = HostedModel.objects.update_or_create(
        worker=worker,
        model=model_ensure(name=name, context_length=context_length, kind=kind, sees_images=sees_images),
        defaults={"state": HostedState.LOADED, "upstream_name": upstream_name, "slots": MAX_SLOTS} | said,
    )
    return hosted


def mapping_checked(
    worker_pk: int | None,
    *,
    name: str,
    upstream_name: str,
    context_length: int | None = None,
    longest_answer: int | None = None,
    kind: ModelKind | None = None,
) -> None:
    """Whether this may be said of a model, which is one and the same wherever it is offered.

    Raises: ProviderWrong, also where others that offer the model say something else: one of both would be lost.
    """
    if not all(0 < len(text) <= MAX_NAME and "\0" not in text for text in (name, upstream_name)):
        raise ProviderWrong(reason=f"A model needs a name here and a name there, of 1 to {MAX_NAME} characters")
    if not all(0 <= (length or 0) <= MAX_LENGTH for length in (context_length, longest_answer)):
        raise ProviderWrong(reason=f"A context and a longest answer have 1 to {MAX_LENGTH} tokens; 0 is unknown")
    model = LanguageModel.objects.filter(name=name).first()
    if model is None:
        return
    others = HostedModel.objects.filter(model=model, worker__in=Worker.objects.alive()).exclude(worker=worker_pk)
    other = others.select_related("worker").first()
    if other is not None and kind is not None and kind != model.kind:
        does = ModelKind(model.kind).label.lower()
        raise ProviderWrong(reason=f"{name!r} {does} at {other.worker}: say the same here, or take another name")
    if other is None or context_length is None or model.context_length in (None, context_length):
        return
    told = others.filter(worker__kind="").select_related("worker").first()
    known = f"{name!r} has a context of {model.context_length} tokens"
    if told is not None:
        reason = f"{known}, as its worker {told.worker} tells: leave it out here, or take another name"
    else:
        here = "leave it out here, unmap it there first, or take another name"
        reason = f"{known}, as was said for {other.worker}: {here}"
    raise ProviderWrong(reason=reason)


def model_unmap(worker: Worker, name: str) -> None:
    """Offer the model no longer from this provider. Raises: ProviderWrong."""
    n_rows, _ = HostedModel.objects.filter(worker=worker, model__name=name).delete()
    if not n_rows:
        raise ProviderWrong(reason=f"{worker} has no model {name!r}")


def provider_checked(worker: Worker) -> None:
    """Its list of models came: it is there and takes the key."""
    Worker.objects.filter(pk=worker.pk).update(checked_at=timezone.now(), check_problem="")


def provider_noted(worker: Worker, words: str) -> None:
    """Show admins what a check found, beside what requests have met last."""
    Worker.objects.filter(pk=worker.pk).update(check_problem=words[:500])


def provider_count_again(worker: Worker) -> None:
    """Set right how many requests it has. Reports do that for our own workers; here a web process that died is missed.

    One that is given out in the same moment is missed once, which moves dispatch by one request until it ends.
    """
    fresh = timezone.now() - RENEWED_WITHIN
    running = PoolRequest.objects.filter(worker=worker, state=RequestState.RUNNING, renewed_at__gt=fresh).count()
    Worker.objects.filter(pk=worker.pk, assigned_since_report__gt=running).update(assigned_since_report=running)


def kind_get(name: str) -> Kind:
    """Raises: ProviderWrong."""
    if name not in KINDS:
        raise ProviderWrong(reason=f"There is no kind {name!r}; there are {', '.join(KINDS)}")
    return KINDS[name]


def base_url_checked(kind: Kind, text: str) -> str:
    """The address without a slash at its end. Names are checked when they are called. Raises: ProviderWrong."""
    address = text.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ProviderWrong(reason=f"{address!r} is no address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or len(address) > 200:
        raise ProviderWrong(reason=f"{address!r} is no address of the form {kind.base_url}")
    if parts.query or parts.fragment:
        raise ProviderWrong(reason=f"{address!r}: an address has no query and no fragment")
    if address.endswith(("/completions", "/messages", "/embeddings")):
        raise ProviderWrong(reason=f"{address}: leave out the last part; the address ends with the version")
    if open_words := [word for word in re.findall("[A-Z]{4,}", kind.base_url) if word in address]:
        raise ProviderWrong(reason=f"In {address}, put your own in place of {', '.join(open_words)}")
    if kind.is_vendor and parts.scheme != "https":
        raise ProviderWrong(reason=f"{kind.label} is called with a key, so its address begins with https://")
    try:
        reason = why_forbidden(ip_address(host), settings.OUTBOUND_ALLOWED_NETWORKS)
    except ValueError:
        reason = None  # a name
    if reason is not None:
        raise ProviderWrong(reason=f"{host} is {reason}; an operator may allow it with OUTBOUND_ALLOWED_NETWORKS")
    return address


def key_checked(kind: Kind, worker: Worker, base_url: str, key: str) -> None:
    """Whether this key will do, or none, for a provider that is to be at `base_url`. Raises: ProviderWrong."""
    key = key.strip()
    if not key and worker.sealed_token and base_url != worker.base_url:
        raise ProviderWrong(reason="The key was given for the old address only: give the key for the new one")
    if not key and not worker.sealed_token and kind.is_vendor:
        raise ProviderWrong(reason=f"{kind.label} needs a key")
    if not key.isascii() or (key and not key.isprintable()) or " " in key or len(key) > 1000:
        raise ProviderWrong(reason="A key has printable ASCII characters without spaces only, 1000 at most")


def _key_put(worker: Worker, key: str) -> None:
    worker.access_token = key.strip()
    worker.token_hint = key.strip()[-N_HINT:] if len(key.strip()) >= MIN_KEY_CHARS_TO_HINT else ""
