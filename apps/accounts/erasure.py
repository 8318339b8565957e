"""Take a person out of accounts: sums of what was used stay, without whose they were. Again does no harm."""

from collections.abc import Collection
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q

from apps.accounts.actors import Actor
from apps.accounts.models import ApiKey, LedgerEntry, Reservation, UsageCounter, User, Visitor

ERASED_AT_ONCE = 1000
NOBODY = {"user_id": None, "api_key_id": None, "visitor_public_id": None, "request_id": ""}


def account_close(user: User) -> None:
    """Nobody comes in by it any more, in the browser or with a key."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    sessions_end(user.pk)


def sessions_end(user_pk: int) -> int:
    """Sessions do not say in a column whose they are, so all of them are read."""
    rows = Session.objects.iterator(chunk_size=500)
    keys = [row.session_key for row in rows if row.get_decoded().get(SESSION_KEY) == str(user_pk)]
    return Session.objects.filter(session_key__in=keys).delete()[0]


def ledger_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Entries, and calls that will become some, without person, key and request: the sum of the ledger stays.

    The database allows no other change of an entry.
    """
    whose = _whose(actor)
    n_open = Reservation.objects.filter(whose).update(**NOBODY)
    pks = list(LedgerEntry.objects.filter(whose).order_by().values_list("pk", flat=True)[:ERASED_AT_ONCE])
    return n_open + LedgerEntry.objects.filter(pk__in=pks).update(**NOBODY)


def counters_erase(actor: Actor, held: Collection[UUID]) -> int:
    """How far they had used up limits that are for everybody alike."""
    subject = f"user:{actor.user_id}" if actor.user_id is not None else f"visitor:{actor.visitor_public_id}"
    pks = list(UsageCounter.objects.filter(subject=subject).values_list("pk", flat=True)[:ERASED_AT_ONCE])
    with transaction.atomic():
        # In the order in which calls lock them.
        list(UsageCounter.objects.select_for_update().filter(pk__in=pks).order_by("pk"))
        UsageCounter.objects.filter(pk__in=pks).delete()
    return len(pks)


def account_erase(actor: Actor) -> int:
    """The account itself with its keys, e-mail addresses, limits and sessions, or the visitor. Last: all else hangs on
    it, and whatever came meanwhile goes with it."""
    if actor.visitor_public_id is not None:
        return Visitor.objects.filter(public_id=actor.visitor_public_id).delete()[0]
    if actor.user_id is None:
        return 0
    sessions_end(actor.user_id)
    _log_forget(User, [actor.user_id])
    for model in (ApiKey, EmailAddress):
        _log_forget(model, model.objects.filter(user_id=actor.user_id).values_list("pk", flat=True))
    return User.objects.filter(pk=actor.user_id).delete()[0]


def _whose(actor: Actor) -> Q:
    if actor.user_id is not None:
        return Q(user_id=actor.user_id)
    return Q(visitor_public_id=actor.visitor_public_id, visitor_public_id__isnull=False)


def _log_forget(model: type[User | ApiKey | EmailAddress], pks: Collection[int]) -> None:
    """What administrators did stays in the admin's log, without the name of whom or what they did it to."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model))
    entries.filter(object_id__in=[str(pk) for pk in pks]).update(object_repr="erased")
