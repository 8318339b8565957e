"""What is forgotten by itself: after which time, what is kept all the same, and how it is counted."""

from datetime import UTC, timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry, User
from apps.accounts.services import NewKey, api_key_create
from apps.arena.models import Battle
from apps.conversations.models import Conversation
from apps.holds.models import HeldKind
from apps.openai_api.models import ApiFile, Batch, BatchState
from apps.privacy import retained
from apps.privacy.models import ForgottenCount, Kept, RetentionPeriod
from apps.privacy.services.retention import retention_run
from apps.privacy.tasks import retention_task
from tests.openai_api.batch_support import line, new_batch
from tests.privacy.conftest import chat_of, held, judged
from tests.privacy.test_erasure import spent

pytestmark = pytest.mark.django_db

OLD = timedelta(days=40)


def period(kind: Kept, days: int = 30) -> None:
    RetentionPeriod.objects.create(kind=kind, days=days)


def aged(rows: "models.QuerySet[models.Model, models.Model]", **columns: timedelta) -> None:
    rows.update(**{name: timezone.now() - age for name, age in columns.items()})


@pytest.fixture
def chats(alices: Actor, visitor: UUID) -> list[Conversation]:
    """An old and a new one, of a member and of a visitor."""
    made = [chat_of(owner) for owner in (alices, Actor(visitor_public_id=visitor)) for _ in range(2)]
    aged(Conversation.objects.filter(pk__in=[made[0].pk, made[2].pk]), updated_at=OLD)
    return made


def test_without_a_period_everything_is_kept(chats: list[Conversation]) -> None:
    assert retention_run() == {}
    assert Conversation.objects.count() == 4


@pytest.mark.parametrize(("kind", "gone"), [(Kept.MEMBER_CHATS, 0), (Kept.VISITOR_CHATS, 2)])
def test_old_chats_go_of_whom_the_period_speaks(chats: list[Conversation], kind: Kept, gone: int) -> None:
    period(kind)
    assert retention_run() == {kind: 1}
    assert set(Conversation.objects.all()) == {*chats} - {chats[gone]}


def test_the_texts_of_old_battles_go_and_the_votes_stay(alices: Actor, models: object) -> None:
    battles = [judged(alices), judged(alices, "Other")]
    aged(Conversation.objects.filter(side__battle=battles[0]), updated_at=OLD)
    period(Kept.BATTLE_TEXTS)
    assert retention_run() == {Kept.BATTLE_TEXTS: 1}  # its other side goes with it
    assert Battle.objects.filter(vote__isnull=False, user=alices.user_id).count() == 2
    assert Conversation.objects.count() == 2


@pytest.fixture
def key(alice: User) -> NewKey:
    return api_key_create(name="laptop", user=alice)


def test_old_batches_and_files_go_and_one_that_runs_keeps_its_file(key: NewKey) -> None:
    ended, running = new_batch(key, line("a")), new_batch(key, line("b"))
    Batch.objects.filter(pk=ended.pk).update(state=BatchState.COMPLETED, ended_at=timezone.now() - OLD)
    aged(ApiFile.objects.all(), created_at=OLD)
    period(Kept.BATCHES)
    period(Kept.FILES)
    assert retention_run() == {Kept.BATCHES: 1, Kept.FILES: 1}
    assert Batch.objects.get() == running
    assert ApiFile.objects.get() == running.input_file


def test_old_entries_of_the_ledger_lose_their_person_once(alices: Actor, visitor: UUID) -> None:
    for actor in (alices, Actor(visitor_public_id=visitor)):
        spent(actor)
    period(Kept.LEDGER_NAMES)
    assert retention_run() == {}
    later = timezone.now() + OLD
    with patch("django.utils.timezone.now", lambda: later):
        assert retention_run() == {Kept.LEDGER_NAMES: 2}
        assert retention_run() == {}
    assert not LedgerEntry.objects.filter(user_id__isnull=False).exists()
    assert sum(LedgerEntry.objects.values_list("prompt_tokens", flat=True)) == 20


def test_expired_sessions_go(client: Client, alice: User, bob: User) -> None:
    client.force_login(alice)
    aged(Session.objects.all(), expire_date=OLD)
    Client().force_login(bob)
    assert retention_run() == {Kept.SESSIONS: 1}
    assert Session.objects.count() == 1


def test_what_is_held_stays(
    chats: list[Conversation], alice: User, admin_user: User, visitor: UUID, key: NewKey
) -> None:
    new_batch(key, line("a"))
    Batch.objects.update(state=BatchState.COMPLETED, ended_at=timezone.now() - OLD)
    aged(ApiFile.objects.all(), created_at=OLD)
    for kind in (Kept.MEMBER_CHATS, Kept.VISITOR_CHATS, Kept.BATCHES, Kept.FILES):
        period(kind)
    held(HeldKind.USER, alice, admin_user)
    held(HeldKind.CONVERSATION, chats[2], admin_user)
    assert retention_run() == {}


def test_it_goes_on_beyond_one_handful_and_the_days_count_is_kept(chats: list[Conversation]) -> None:
    aged(Conversation.objects.all(), updated_at=OLD)
    for kind in (Kept.MEMBER_CHATS, Kept.VISITOR_CHATS):
        period(kind)
    with patch("apps.conversations.services.erasure.ERASED_AT_ONCE", 1):
        assert retention_task() == 4
    today = timezone.now().astimezone(UTC).date()
    counted = set(ForgottenCount.objects.values_list("day", "kind", "n_rows"))
    assert counted == {(today, Kept.MEMBER_CHATS, 2), (today, Kept.VISITOR_CHATS, 2)}


def test_out_of_time_the_rest_is_left_to_the_next_run(chats: list[Conversation]) -> None:
    aged(Conversation.objects.all(), updated_at=OLD)
    period(Kept.MEMBER_CHATS)
    with patch("apps.conversations.services.erasure.ERASED_AT_ONCE", 1):
        assert retention_run(slice_s=0) == {Kept.MEMBER_CHATS: 1}
        assert retention_run(slice_s=0) == {Kept.MEMBER_CHATS: 1}
    assert ForgottenCount.objects.get().n_rows == 2


def test_a_dry_run_says_how_many_and_changes_nothing(
    chats: list[Conversation], capsys: pytest.CaptureFixture[str]
) -> None:
    period(Kept.MEMBER_CHATS)
    call_command("retention", dry_run=True)
    said = capsys.readouterr().out.splitlines()
    assert "1\tChats of members, after their last message\t30 days" in said
    assert "-\tChats of visitors, after their last message\tkept" in said
    assert "0\tIncidents of moderation\t90 days" in said
    assert len(said) == len(Kept) == len(retained.RETAINED)
    assert Conversation.objects.count() == 4
    call_command("retention")
    assert capsys.readouterr().out == "1\tChats of members, after their last message\n"
    assert Conversation.objects.count() == 3


def test_an_admin_sets_a_period_of_a_day_at_least(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    add = "/admin/privacy/retentionperiod/add/"
    for wrong in ({"kind": "member_chats", "days": 0}, {"kind": "incidents", "days": 5}):
        assert client.post(add, wrong).status_code == 200
    assert not RetentionPeriod.objects.exists()
    assert client.post(add, {"kind": "member_chats", "days": 365}).status_code == 302
    assert client.get("/admin/privacy/forgottencount/").status_code == 200
