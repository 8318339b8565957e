"""Kinds of data that are forgotten after a time: which rows of each are over now, and how a few of them are taken.

Some have a period in the settings, others one that administrators set; without one they are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.erasure import NOBODY
from apps.accounts.models import LedgerEntry
from apps.conversations.models import Conversation, Purpose
from apps.conversations.selectors.held import conversations_not_held
from apps.conversations.services.erasure import conversations_remove
from apps.conversations.services.shares import shares_over
from apps.holds.selectors import held_ids
from apps.moderation.services.incidents import incidents_over
from apps.openai_api.models import UNFINISHED, ApiFile, Batch
from apps.openai_api.services.responses import responses_over
from apps.privacy.models import Kept
from apps.workers.services.erasure import requests_over

AT_ONCE = 500
FILES_AT_ONCE = 20
"""Files may have hundreds of megabytes, batches tens of thousands of lines."""

Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True)
class Retained:
    """One kind. `over`: the rows whose time is over, none of them held. `take`: a few of these; it returns how many."""

    kind: Kept
    over: Callable[[datetime], Rows]
    take: Callable[[Rows], int]
    setting: str = ""
    """Where its period is, if administrators do not set it. Its `over` asks there itself."""


def delete(n_rows: int) -> Callable[[Rows], int]:
    def some(rows: Rows) -> int:
        pks = list(rows.order_by("pk").values_list("pk", flat=True)[:n_rows])
        rows.model._default_manager.filter(pk__in=pks).delete()
        return len(pks)

    return some


def unname(entries: Rows) -> int:
    pks = list(entries.order_by().values_list("pk", flat=True)[:AT_ONCE])
    return LedgerEntry.objects.filter(pk__in=pks).update(**NOBODY)


def chats_over(*, of_members: bool) -> Callable[[datetime], Rows]:
    def over(end: datetime) -> Rows:
        chats = Conversation.objects.filter(purpose=Purpose.CHAT, updated_at__lt=end)
        return conversations_not_held(chats.filter(visitor__isnull=of_members), held_ids())

    return over


def battle_texts_over(end: datetime) -> Rows:
    sides = Conversation.objects.filter(purpose=Purpose.BATTLE_SIDE, updated_at__lt=end)
    return conversations_not_held(sides, held_ids())


def files_over(end: datetime) -> Rows:
    """But for those that a batch still reads."""
    in_use = Batch.objects.filter(state__in=UNFINISHED, input_file__isnull=False).values("input_file")
    return _not_of_held(ApiFile.objects.filter(created_at__lt=end).exclude(pk__in=in_use))


def batches_over(end: datetime) -> Rows:
    return _not_of_held(Batch.objects.filter(ended_at__lt=end).exclude(state__in=UNFINISHED))


def named_entries_over(end: datetime) -> Rows:
    held = held_ids()
    named = Q(user_id__isnull=False) | Q(api_key_id__isnull=False) | Q(visitor_public_id__isnull=False)
    entries = LedgerEntry.objects.filter(named | ~Q(request_id=""), started_at__lt=end)
    of_held = Q(user__isnull=False, user__public_id__in=held)
    return entries.exclude(of_held | Q(visitor_public_id__isnull=False, visitor_public_id__in=held))


def sessions_over(now: datetime) -> Rows:
    return Session.objects.filter(expire_date__lt=timezone.now())


def _not_of_held(rows: Rows) -> Rows:
    return rows.exclude(user__isnull=False, user__public_id__in=held_ids())


RETAINED = (
    Retained(Kept.MEMBER_CHATS, chats_over(of_members=True), conversations_remove),
    Retained(Kept.VISITOR_CHATS, chats_over(of_members=False), conversations_remove),
    Retained(Kept.BATTLE_TEXTS, battle_texts_over, conversations_remove),
    Retained(Kept.BATCHES, batches_over, delete(FILES_AT_ONCE)),
    Retained(Kept.FILES, files_over, delete(FILES_AT_ONCE)),
    Retained(Kept.LEDGER_NAMES, named_entries_over, unname),
    Retained(Kept.RESPONSES, lambda _: responses_over(), delete(AT_ONCE), setting="API_RESPONSE_DAYS"),
    Retained(Kept.INCIDENTS, lambda _: incidents_over(), delete(AT_ONCE), setting="MODERATION_LOG_DAYS"),
    Retained(Kept.REQUESTS, lambda _: requests_over(), delete(AT_ONCE), setting="REQUEST_LOG_DAYS"),
    Retained(Kept.LINKS, lambda _: shares_over(), delete(AT_ONCE), setting="when they end"),
    Retained(Kept.SESSIONS, sessions_over, delete(AT_ONCE), setting="when they end"),
)
