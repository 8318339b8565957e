"""Erasing a person: what goes, what stays without them, and what happens when it is killed half-way."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Sum
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.ledger import CallOpening, call_reserve
from apps.accounts.models import ApiKey, CallState, LedgerEntry, Reservation, User, Visitor
from apps.accounts.quota import Price, Usage
from apps.accounts.services import api_key_create
from apps.accounts.settlement import call_settle
from apps.appeals.models import Appeal
from apps.arena.models import Arena, Battle, Verdict, Vote
from apps.conversations.models import Conversation, Message, Preset
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.services import snapshot_build, snapshot_verify
from apps.leaderboard.votes import votes_text
from apps.moderation.models import Ban
from apps.privacy import erasers
from apps.privacy.errors import StaffNotErased
from apps.privacy.models import ErasureRequest, ErasureState
from apps.privacy.selectors import erasures_due
from apps.privacy.services import erasures
from apps.privacy.services.erasures import erasure_advance, erasure_ask
from apps.privacy.tasks import erasures_advance_task
from tests.arena.support import fought
from tests.privacy.conftest import carried_out, chat_of, judged

pytestmark = pytest.mark.django_db


def spent(actor: Actor, tokens: int = 10) -> None:
    """An ended call in the ledger."""
    opening = CallOpening(actor=actor, model_name="owl", endpoint="/v1/chat/completions", price=Price(Decimal(1)))
    call_settle(call_reserve(opening, [], None).pk, Usage(tokens, 5), CallState.COMPLETE)


def test_nothing_of_a_member_is_left_and_nobody_else_is_touched(alice: User, bob: User) -> None:
    for person in (alice, bob):
        actor = Actor(user_id=person.pk)
        chat_of(actor)
        api_key_create(name="laptop", user=person)
        Preset.objects.create(user=person, name="terse")
        spent(actor)
    alices_id = alice.pk
    request = carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert request.state == ErasureState.ERASED
    assert request.found == {"chats": 1, "presets": 1, "API keys": 1}
    assert not User.objects.filter(pk=alices_id).exists()
    assert list(Conversation.objects.values_list("user", flat=True)) == [bob.pk]
    assert Message.objects.count() == 1
    assert list(Preset.objects.values_list("user", flat=True)) == [bob.pk]
    assert list(ApiKey.objects.values_list("user", flat=True)) == [bob.pk]


def test_the_sum_of_the_ledger_stays_without_the_person(alice: User) -> None:
    key = api_key_create(name="laptop", user=alice).key
    spent(Actor(user_id=alice.pk, api_key_id=key.pk), tokens=7)
    before = LedgerEntry.objects.aggregate(Sum("prompt_tokens"), Sum("cost"))
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert LedgerEntry.objects.aggregate(Sum("prompt_tokens"), Sum("cost")) == before
    entry = LedgerEntry.objects.get()
    assert (entry.user_id, entry.api_key_id, entry.visitor_public_id, entry.request_id) == (None, None, None, "")


def test_a_call_that_runs_meanwhile_is_settled_without_the_person(alice: User) -> None:
    actor = Actor(user_id=alice.pk)
    reserved = call_reserve(CallOpening(actor=actor, model_name="owl", endpoint="/v1/chat/completions"), [], None)
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    call_settle(reserved.pk, Usage(3, 4), CallState.COMPLETE)
    assert LedgerEntry.objects.get().user_id is None
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(
    "change", ["prompt_tokens = 0", "user_id = NULL, cost = 0", "user_id = NULL", "model_name = 'x', request_id = ''"]
)
def test_nothing_else_of_the_ledger_can_be_changed(alice: User, change: str) -> None:
    spent(Actor(user_id=alice.pk))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE accounts_ledgerentry SET {change}")  # noqa: S608  # from the list above


def test_a_vote_stays_without_its_voter_and_a_board_is_the_same(alice: User, bob: User, models: object) -> None:
    judged(Actor(user_id=bob.pk), "Theirs", Verdict.A)
    battle = judged(Actor(user_id=alice.pk), "Mine", Verdict.B)
    Vote.objects.update(integrity="counted", reasons=[], weight=1.0)
    arena = Arena.objects.get()
    snapshot, _ = snapshot_build(arena, BoardConfig(min_battles=1))
    digest = battle.prompt_digest
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    kept = Battle.objects.get(pk=battle.pk)
    assert (kept.user_id, kept.prompt_digest, kept.vote.verdict) == (None, "", Verdict.B)
    assert digest
    assert kept.public_id != battle.public_id
    assert all(side.conversation is None for side in kept.sides.all())
    assert votes_text(arena).count(b"\n") == 2
    assert snapshot_verify(snapshot).is_right


def test_a_battle_without_a_vote_goes(alice: User, models: object) -> None:
    fought(Actor(user_id=alice.pk))
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert not Battle.objects.exists()
    assert not Conversation.objects.exists()


def test_a_visitor_is_erased_and_their_number_forgotten_after_the_second_look(visitor: UUID, models: object) -> None:
    actor = Actor(visitor_public_id=visitor)
    chat_of(actor)
    judged(actor)
    spent(actor)
    request = carried_out(erasure_ask(user=None, visitor_public_id=visitor))
    assert request.state == ErasureState.ERASED
    assert request.visitor_public_id == visitor
    assert not Visitor.objects.exists()
    # Written meanwhile in a tab that was open.
    chat_of(actor, "One more thing")
    request = carried_out(request)
    assert (request.state, request.visitor_public_id) == (ErasureState.DONE, None)
    assert not Conversation.objects.exists()
    assert LedgerEntry.objects.get().visitor_public_id is None


def test_the_second_look_is_due_only_later(alice: User) -> None:
    request = carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert erasures_due() == []
    erasure_advance(request.pk)
    request.refresh_from_db()
    assert request.state == ErasureState.ERASED
    assert request.due_at > timezone.now() + timedelta(minutes=55)


def test_the_account_is_closed_at_once(client: Client, alice: User) -> None:
    client.force_login(alice)
    other = Client()
    other.force_login(User.objects.create_user("dora"))
    secret = api_key_create(name="laptop", user=alice).secret
    erasure_ask(user=alice, visitor_public_id=None)
    assert Session.objects.count() == 1
    assert client.get("/account/keys").status_code == 302
    assert other.get("/account/keys").status_code == 200
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_killed_half_way_it_goes_on(alice: User, models: object) -> None:
    actor = Actor(user_id=alice.pk)
    for _ in range(3):
        chat_of(actor)
    judged(actor)
    request = erasure_ask(user=alice, visitor_public_id=None)

    class Killed(BaseException):
        """As a process ends."""

    def killed(*_: object) -> int:
        raise Killed

    until_killed = (*erasers.ERASERS[:2], killed)
    with patch.object(erasures, "ERASERS", until_killed), pytest.raises(Killed):
        erasure_advance(request.pk)
    assert not Conversation.objects.exists()
    assert User.objects.filter(pk=alice.pk).exists()
    assert carried_out(request).state == ErasureState.ERASED
    assert not User.objects.exists()


def test_of_two_jobs_one_works_and_the_lease_of_a_dead_one_runs_out(alice: User) -> None:
    request = erasure_ask(user=alice, visitor_public_id=None)
    later = timezone.now() + timedelta(seconds=50)
    ErasureRequest.objects.update(runner=uuid4(), lease_expires_at=later)
    assert erasures_due() == []
    assert carried_out(request).state == ErasureState.ASKED
    ErasureRequest.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert erasures_due() == [request.pk]
    assert carried_out(request).state == ErasureState.ERASED


def test_out_of_time_it_lets_go_and_the_next_goes_on(alice: User) -> None:
    for _ in range(25):
        chat_of(Actor(user_id=alice.pk))
    request = erasure_ask(user=alice, visitor_public_id=None)
    erasure_advance(request.pk, slice_s=0)
    assert Conversation.objects.count() == 5
    assert erasures_due() == [request.pk]
    assert carried_out(request).state == ErasureState.ERASED


def test_one_that_fails_holds_up_no_other_and_is_tried_again(alice: User, bob: User) -> None:
    broken = erasure_ask(user=alice, visitor_public_id=None)
    erasure_ask(user=bob, visitor_public_id=None)

    def fails_for_alice(actor: Actor, held: object) -> int:
        if actor.user_id == broken.user_pk:
            raise ZeroDivisionError
        return 0

    with patch.object(erasures, "ERASERS", (fails_for_alice,)):
        assert erasures_advance_task() == 2
    assert list(User.objects.values_list("username", flat=True)) == ["alice"]
    assert erasures_due() == [broken.pk]


def test_asked_twice_it_is_the_same_request(alice: User, visitor: UUID) -> None:
    first = erasure_ask(user=alice, visitor_public_id=visitor)
    assert erasure_ask(user=alice, visitor_public_id=visitor) == first
    assert erasure_ask(user=None, visitor_public_id=visitor) == first


def test_staff_is_not_erased(admin_user: User) -> None:
    with pytest.raises(StaffNotErased, match="staff rights"):
        erasure_ask(user=admin_user, visitor_public_id=None)
    admin_user.refresh_from_db()
    assert admin_user.is_active


def test_the_log_of_the_admin_stays_without_the_name(alice: User, admin_user: User) -> None:
    address = EmailAddress.objects.create(user=alice, email="alice@example.org")
    for thing in (alice, api_key_create(name="my diary", user=alice).key, address):
        LogEntry.objects.create(
            user=admin_user,
            content_type=ContentType.objects.get_for_model(thing),
            object_id=str(thing.pk),
            object_repr=str(thing),
            action_flag=CHANGE,
        )
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["erased"] * 3


def test_a_ban_of_a_network_stays_without_the_visitor(visitor: UUID, alice: User, bob: User, admin_user: User) -> None:
    bans = [
        Ban.objects.create(visitor_public_id=visitor, network_digest="d" * 64, reason="Spam"),
        Ban.objects.create(visitor_public_id=visitor, reason="Spam"),
        Ban.objects.create(user=alice, reason="Spam"),
    ]
    for ban in bans:
        LogEntry.objects.create(
            user=admin_user,
            content_type=ContentType.objects.get_for_model(Ban),
            object_id=str(ban.pk),
            object_repr=str(ban),
            action_flag=CHANGE,
        )
        Appeal.objects.create(ban=ban, text="I live in Elm Street")
    others = Appeal.objects.create(ban=Ban.objects.create(user=bob, reason="Spam"), text="Not me")
    carried_out(erasure_ask(user=None, visitor_public_id=visitor))
    carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert Appeal.objects.get() == others
    left = Ban.objects.get(user=None)
    assert (left.pk, left.visitor_public_id, str(left)) == (bans[0].pk, None, "a network, for good")
    assert set(LogEntry.objects.values_list("object_repr", flat=True)) == {"somebody who was erased"}


KNOWN = {
    # Deleted with the person, or by its eraser.
    "account.EmailAddress.user", "accounts.ApiKey.user", "accounts.Limit.user", "accounts.Limit.api_key",
    "accounts.User_groups.user", "accounts.User_user_permissions.user", "admin.LogEntry.user",
    "arena.Arena_members.user", "conversations.Conversation.user", "conversations.Conversation.visitor",
    "conversations.Conversation.api_key", "conversations.ChatImage.user", "conversations.ChatImage.visitor",
    "conversations.Preset.user", "moderation.Incident.user",
    "moderation.Incident.api_key", "moderation.Incident.visitor_public_id", "moderation.Opening.owner",
    "moderation.Opening.visitor_public_id", "openai_api.ApiFile.user", "openai_api.ApiFile.api_key",
    "openai_api.Batch.user", "openai_api.Batch.api_key", "openai_api.StoredResponse.user",
    "openai_api.StoredResponse.api_key", "workers.PoolRequest.party", "accounts.UsageCounter.subject",
    "datasets.SourceRecord.user", "datasets.SourceRecord.visitor_public_id",
    "consents.Consent.user", "consents.Consent.visitor",
    # The row stays without the person.
    "moderation.Ban.user", "moderation.Ban.visitor_public_id",
    "accounts.LedgerEntry.user", "accounts.LedgerEntry.api_key", "accounts.LedgerEntry.visitor_public_id",
    "accounts.Reservation.user", "accounts.Reservation.api_key", "accounts.Reservation.visitor_public_id",
    "arena.Battle.user", "arena.Battle.visitor", "arena.Battle.api_key",
    "privacy.ErasureRequest.user_pk", "privacy.ErasureRequest.visitor_public_id",
    # Who of the staff did it.
    "arena.Vote.overruled_by", "moderation.Incident.reviewed_by", "appeals.Appeal.answered_by", "moderation.Ban.by",
    "moderation.Opening.reader",
    "datasets.Takedown.taken_by", "datasets.DatasetRelease.proposed_by", "datasets.DatasetRelease.decided_by",
    "privacy.ErasureRequest.entered_by", "holds.LegalHold.placed_by", "holds.LegalHold.lifted_by",
}  # fmt: skip
NAMES = {"party", "subject", "user_pk", "visitor_public_id"}


def test_every_column_that_names_a_person_is_known_here() -> None:
    """Whoever adds one adds it to an eraser too, and to this list."""
    found = set()
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            is_person = isinstance(field, models.ForeignKey) and field.related_model in (User, Visitor, ApiKey)
            is_number = (
                isinstance(field, models.Field) and field.name in NAMES and model._meta.label != "holds.LegalHold"
            )
            if is_person or is_number:
                found.add(f"{model._meta.label}.{field.name}")
    assert found == KNOWN
