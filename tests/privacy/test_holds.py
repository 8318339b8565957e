"""Legal holds: nothing that is held is erased, changed or forgotten, until the hold is lifted."""

from collections.abc import Sequence
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User, Visitor
from apps.accounts.services import NewKey, api_key_create
from apps.arena.models import Battle
from apps.conversations.kept import ChatKeeper
from apps.conversations.models import Conversation, Feedback, Message, Preset, Role, Share
from apps.conversations.services.keeping import Change, conversations_change
from apps.conversations.services.shares import share_create, shares_revoke
from apps.holds.errors import AlreadyHeld, Held, NotInForce
from apps.holds.models import HeldKind
from apps.holds.selectors import holds_in_force
from apps.holds.services import hold_lift, hold_place, holds_follow
from apps.moderation.models import Incident
from apps.openai_api.kept import ResponseKeeper
from apps.openai_api.models import ApiFile, StoredResponse
from apps.openai_api.services.files import file_upload
from apps.privacy.erasers import ERASERS
from apps.privacy.models import ErasureState, Kept
from apps.privacy.services import erasures
from apps.privacy.services.erasures import erasure_ask
from apps.privacy.services.retention import retention_run
from tests.accounts.support import at_once
from tests.arena.support import fought
from tests.privacy.conftest import carried_out, chat_of, held, judged

pytestmark = pytest.mark.django_db


def removed(texts: Sequence[str]) -> list[str]:
    return ["[removed]"] * len(texts)


def response_of(key: NewKey) -> StoredResponse:
    return StoredResponse.objects.create(
        user=key.key.user, api_key=key.key, model_name="owl", repeated={}, items=[], state="completed",
        expires_at=timezone.now() - timedelta(days=1),
    )  # fmt: skip


@pytest.mark.parametrize("of", ["chat", "owner"])
def test_a_held_chat_can_not_be_deleted_renamed_or_given_other_instructions(
    client: Client, alice: User, alices: Actor, admin_user: User, of: str
) -> None:
    chat = chat_of(alices)
    if of == "chat":
        held(HeldKind.CONVERSATION, chat, admin_user)
    else:
        held(HeldKind.USER, alice, admin_user)
    client.force_login(alice)
    for path, fields in (
        ("delete", {}),
        ("rename", {"title": "Other"}),
        ("settings/save", {"system_prompt": "Other"}),
    ):
        reply = client.post(f"/chat/{chat.public_id}/{path}", fields, headers={"Accept": "application/json"})
        assert reply.status_code == 409, path
        assert reply.json()["error"]["code"] == "holds.held"
        assert "hold" not in reply.json()["error"]["message"]
    chat.refresh_from_db()
    assert (chat.title, chat.system_prompt) == ("Hello", "")


def test_of_many_chats_those_that_are_not_held_are_deleted(alices: Actor, admin_user: User) -> None:
    chats = [chat_of(alices) for _ in range(3)]
    held(HeldKind.CONVERSATION, chats[1], admin_user)
    with pytest.raises(Held):
        conversations_change(actor=alices, conversation_ids=[chat.public_id for chat in chats], change=Change.DELETE)
    assert list(Conversation.objects.all()) == [chats[1]]


def test_moderators_take_nothing_out_of_what_is_held_nor_of_its_copies(alices: Actor, admin_user: User) -> None:
    free, kept = chat_of(alices, "Bother"), chat_of(alices, "Bother")
    held(HeldKind.CONVERSATION, kept, admin_user)
    message = Message.objects.get(conversation=kept)
    with pytest.raises(Held):
        ChatKeeper().redact(str(message.public_id), author=alices, taken_out=removed)
    other = Message.objects.get(conversation=free)
    assert ChatKeeper().redact(str(other.public_id), author=alices, taken_out=removed)
    assert list(Message.objects.order_by("pk").values_list("content", flat=True)) == ["[removed]", "Bother"]


def test_a_held_link_leads_nowhere_when_revoked_and_its_copy_is_kept(alices: Actor, admin_user: User) -> None:
    chats = [chat_of(alices), chat_of(alices)]
    shares = [share_create(actor=alices, conversation_id=chat.public_id, lasts=None) for chat in chats]
    held(HeldKind.CONVERSATION, chats[0], admin_user)
    assert shares_revoke(Share.objects.all()) == 2
    assert [bool(Share.objects.get(pk=share.pk).messages) for share in shares] == [True, False]
    assert retention_run() == {Kept.LINKS: 1}
    assert list(Share.objects.all()) == [shares[0]]


def test_retention_passes_over_what_is_held(alice: User, bob: User, admin_user: User) -> None:
    held(HeldKind.USER, alice, admin_user)
    for person in (alice, bob):
        response_of(api_key_create(name="laptop", user=person))
        Incident.objects.create(surface="chat", action="flag", categories=["x"], found_by=["y"], user=person)
    Incident.objects.update(created_at=timezone.now() - timedelta(days=1000))
    assert retention_run() == {Kept.RESPONSES: 1, Kept.INCIDENTS: 1}
    assert StoredResponse.objects.get().user == alice
    assert Incident.objects.get().user == alice


def test_words_that_are_held_are_not_written_over(client: Client, alice: User, alices: Actor, admin_user: User) -> None:
    chat = chat_of(alices)
    answer = Message.objects.create(conversation=chat, role=Role.ASSISTANT, content="Yes")
    feedback = f"/chat/{chat.public_id}/messages/{answer.public_id}/feedback"
    client.force_login(alice)
    for prompt, comment in (("One", "Good"), ("Two", "Better")):
        assert client.post("/chat/presets/save", {"preset_name": "x", "system_prompt": prompt}).status_code < 400
        assert client.post(feedback, {"thumb": "down", "comment": comment}).status_code < 400
    held(HeldKind.USER, alice, admin_user)
    assert client.post("/chat/presets/save", {"preset_name": "x", "system_prompt": "Three"}).status_code == 409
    assert client.post(feedback, {"thumb": "down", "comment": "Best"}).status_code == 409
    assert client.post(feedback, {"thumb": ""}).status_code == 409
    assert client.post(feedback, {"thumb": "up", "comment": "Better"}).status_code < 400
    assert client.post("/chat/presets/save", {"preset_name": "y", "system_prompt": "New"}).status_code < 400
    assert set(Preset.objects.values_list("system_prompt", flat=True)) == {"Two", "New"}
    assert Feedback.objects.get().comment == "Better"


def test_moderators_take_nothing_out_of_a_held_response(alice: User, admin_user: User) -> None:
    response, keeper = response_of(api_key_create(name="laptop", user=alice)), ResponseKeeper()
    actor, reference = Actor(user_id=alice.pk), f"resp_{response.public_id.hex}"
    assert keeper.redact(reference, author=actor, taken_out=removed)
    held(HeldKind.USER, alice, admin_user)
    with pytest.raises(Held):
        keeper.redact(reference, author=actor, taken_out=removed)


@pytest.mark.django_db(transaction=True)
def test_programs_can_not_delete_what_is_held(client: Client, alice: User, admin_user: User) -> None:
    key = api_key_create(name="laptop", user=alice)
    actor = Actor(user_id=alice.pk, api_key_id=key.key.pk)
    file = file_upload(actor=actor, name="a.jsonl", purpose="batch", pieces=[b"{}"])
    response = response_of(key)
    held(HeldKind.USER, alice, admin_user)
    for path in (f"files/file-{file.public_id}", f"responses/resp_{response.public_id}"):
        reply = client.delete(f"/v1/{path}", headers={"Authorization": f"Bearer {key.secret}"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "held"), path
    assert ApiFile.objects.exists()
    assert StoredResponse.objects.exists()


def test_the_database_itself_refuses_to_delete_what_is_held(alice: User, visitor: UUID, admin_user: User) -> None:
    row = Visitor.objects.create(public_id=visitor)
    held(HeldKind.USER, alice, admin_user)
    held(HeldKind.VISITOR, row, admin_user)
    chat_of(Actor(user_id=alice.pk))
    chat_of(Actor(visitor_public_id=visitor))
    response_of(api_key_create(name="laptop", user=alice))
    for model in (Conversation, StoredResponse, User, Visitor):
        with pytest.raises(IntegrityError, match="legal hold"), transaction.atomic():
            model._base_manager.all()._raw_delete("default")  # past all that Django does


def test_an_admin_is_told_that_a_held_chat_stands_in_the_way(client: Client, alices: Actor, admin_user: User) -> None:
    chats = [chat_of(alices), chat_of(alices)]
    held(HeldKind.CONVERSATION, chats[0], admin_user)
    client.force_login(admin_user)
    ids = [chat.pk for chat in chats]
    chosen = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    assert "must be kept" in client.post("/admin/conversations/conversation/", chosen).content.decode()
    assert Conversation.objects.count() == 2
    client.post("/admin/conversations/conversation/", chosen | {"_selected_action": ids[1:]})
    assert list(Conversation.objects.all()) == [chats[0]]


@pytest.mark.parametrize("is_told", [True, False])
def test_an_erasure_waits_for_the_hold_and_completes_when_it_is_lifted(
    client: Client, alice: User, alices: Actor, admin_user: User, is_told: bool
) -> None:
    chat_of(alices)
    hold = held(HeldKind.USER, alice, admin_user, is_told=is_told)
    request = carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert (request.state, request.is_hold_told) == (ErasureState.HELD, is_told)
    assert Conversation.objects.exists()
    page = client.get(f"/account/erasures/{request.public_id}").content.decode()
    assert "Some of it waits" in page
    assert ("legal hold" in page) == is_told
    client.force_login(admin_user)
    client.post("/admin/holds/legalhold/", {"action": "lift", "_selected_action": [hold.pk]})
    assert carried_out(request).state == ErasureState.ERASED
    assert list(User.objects.all()) == [admin_user]


def test_of_somebody_of_whom_one_chat_is_held_all_else_is_erased(
    alice: User, alices: Actor, admin_user: User, models: object
) -> None:
    chats = [chat_of(alices), chat_of(alices)]
    battles = [judged(alices), fought(alices, "Other")]
    Preset.objects.create(user=alice, name="terse")
    holds = [held(HeldKind.CONVERSATION, chats[0], admin_user), held(HeldKind.BATTLE, battles[1], admin_user)]
    request = carried_out(erasure_ask(user=alice, visitor_public_id=None))
    assert request.state == ErasureState.HELD
    assert set(Conversation.objects.filter(purpose="chat")) == {chats[0]}
    assert Conversation.objects.filter(purpose="battle_side").count() == 2
    assert set(Battle.objects.filter(user=alice)) == {battles[1]}
    assert not Preset.objects.exists()
    alice.refresh_from_db()
    assert not alice.is_active
    for hold in holds:
        hold_lift(hold, lifted_by=admin_user)
    assert carried_out(request).state == ErasureState.ERASED
    assert not Conversation.objects.exists()
    assert not User.objects.filter(username="alice").exists()


def test_a_hold_that_comes_in_the_middle_is_kept_to(alice: User, alices: Actor, admin_user: User) -> None:
    """The ids that are held are asked for at the beginning; the database looks at each row."""
    chat = chat_of(alices)
    request = erasure_ask(user=alice, visitor_public_id=None)

    def placed(actor: Actor, ids: object) -> int:
        if not chat_is_held():
            held(HeldKind.CONVERSATION, chat, admin_user)
        return 0

    def chat_is_held() -> bool:
        return holds_in_force([chat.public_id]).exists()

    with patch.object(erasures, "ERASERS", (placed, *ERASERS)):
        assert carried_out(request).state == ErasureState.HELD
    assert Conversation.objects.get() == chat


def test_a_hold_on_a_visitor_follows_to_the_account(
    client: Client, alice: User, visitor: UUID, admin_user: User
) -> None:
    chat = chat_of(Actor(visitor_public_id=visitor))
    hold_place(kind=HeldKind.VISITOR, subject=visitor, reason="x", is_told=True, placed_by=admin_user)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    client.post("/accounts/login/", {"login": "alice", "password": "correct horse"})
    chat.refresh_from_db()
    assert chat.user == alice
    assert client.post(f"/chat/{chat.public_id}/delete").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_a_hold_follows_to_every_account_that_signs_in_at_once(admin_user: User, visitor: UUID) -> None:
    hold = hold_place(kind=HeldKind.VISITOR, subject=visitor, reason="x", is_told=True, placed_by=admin_user)
    accounts = [uuid4() for _ in range(16)]
    at_once(lambda account: holds_follow(visitor, account), accounts, n_threads=8)
    hold.refresh_from_db()
    assert sorted(hold.covers) == sorted([visitor, *accounts])


def test_a_hold_is_placed_once_and_lifted_once(alice: User, admin_user: User) -> None:
    hold = held(HeldKind.USER, alice, admin_user)
    with pytest.raises(AlreadyHeld):
        held(HeldKind.USER, alice, admin_user)
    hold_lift(hold, lifted_by=admin_user)
    with pytest.raises(NotInForce):
        hold_lift(hold, lifted_by=admin_user)
    assert held(HeldKind.USER, alice, admin_user) != hold


def test_a_chat_that_is_not_held_is_deleted_though_others_are(alices: Actor, admin_user: User, bob: User) -> None:
    held(HeldKind.USER, bob, admin_user)
    chat = chat_of(alices)
    Message.objects.create(conversation=chat, role=Role.ASSISTANT, content="Yes")
    conversations_change(actor=alices, conversation_ids=[chat.public_id], change=Change.DELETE)
    assert not Conversation.objects.exists()
