"""The pages on which somebody asks to be erased, and those of the admin for letters and holds."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User
from apps.conversations.models import Conversation
from apps.holds.models import LegalHold
from apps.privacy.models import ErasureRequest, ErasureState
from tests.arena.support import fought
from tests.conversations.test_images import kept as image_kept
from tests.privacy.conftest import carried_out, chat_of

pytestmark = pytest.mark.django_db

SURE = {"password": "correct horse", "is_sure": "on"}


@pytest.fixture(autouse=True)
def untried() -> None:
    """Tries are counted in the cache."""
    cache.clear()


def test_a_member_sees_what_there_is_and_asks_with_the_password(client: Client, alice: User, alices: Actor) -> None:
    chat_of(alices)
    client.force_login(alice)
    assert "not in that file" not in client.get("/account/erase").content.decode()
    image_kept(alices)
    page = client.get("/account/erase").content.decode()
    assert "chats: 1" in page
    assert "images: 1" in page
    assert "Images are not in that file" in page
    assert "What stays, without you" in page
    for wrong in (SURE | {"password": "wrong"}, {"password": "correct horse"}, {}):
        assert client.post("/account/erase", wrong).status_code == 200
    assert not ErasureRequest.objects.exists()
    reply = client.post("/account/erase", SURE)
    request = ErasureRequest.objects.get()
    assert reply["Location"] == f"/account/erasures/{request.public_id}"
    assert "_auth_user_id" not in client.session
    assert "It is being carried out" in client.get(reply["Location"]).content.decode()
    carried_out(request)
    assert "It is erased" in client.get(reply["Location"]).content.decode()
    carried_out(request)
    page = client.get(reply["Location"]).content.decode()
    assert "It is done" in page
    assert "chats: 1" in page
    assert "alice" not in page


def test_passwords_can_not_be_guessed_there(client: Client, alice: User) -> None:
    client.force_login(alice)
    replies = [client.post("/account/erase", SURE | {"password": "wrong"}).status_code for _ in range(11)]
    assert replies[-1] == 429
    assert client.post("/account/erase", SURE).status_code == 429
    assert not ErasureRequest.objects.exists()


def test_a_visitor_asks_and_is_somebody_else_afterwards(client: Client, visitor: UUID) -> None:
    chat_of(Actor(visitor_public_id=visitor))
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    page = client.get("/account/erase").content.decode()
    assert "chats: 1" in page
    assert str(visitor) in page
    assert "password" not in page.lower()
    assert client.post("/account/erase", {"is_sure": "on"}).status_code == 302
    assert client.cookies[VISITOR_COOKIE].value == ""
    assert carried_out(ErasureRequest.objects.get()).state == ErasureState.ERASED
    assert not Conversation.objects.exists()


def test_a_member_is_also_erased_as_the_visitor_of_the_same_browser(client: Client, alice: User, visitor: UUID) -> None:
    chat_of(Actor(visitor_public_id=visitor))
    client.force_login(alice)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    client.post("/account/erase", SURE)
    carried_out(ErasureRequest.objects.get())
    assert not Conversation.objects.exists()


def test_of_somebody_unknown_there_is_nothing_to_erase(client: Client) -> None:
    assert "Nothing is known of you here" in client.get("/account/erase").content.decode()
    assert client.post("/account/erase", {"is_sure": "on"}).status_code == 200
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(uuid4())[:-1] + "x"
    client.post("/account/erase", {"is_sure": "on"})
    assert not ErasureRequest.objects.exists()


def test_staff_are_told_to_give_their_rights_back_first(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    reply = client.post("/account/erase", {"password": "correct horse battery", "is_sure": "on"})
    assert reply.status_code == 403
    assert "staff rights away first" in reply.content.decode()


def test_a_stranger_with_a_wrong_number_sees_nothing(client: Client, charlie: User) -> None:
    client.force_login(charlie)
    assert client.get(f"/account/erasures/{uuid4()}").status_code == 404


def test_an_admin_enters_a_letter(client: Client, alice: User, visitor: UUID, admin_user: User) -> None:
    chat_of(Actor(visitor_public_id=visitor))
    client.force_login(admin_user)
    add = "/admin/privacy/erasurerequest/add/"
    assert client.get(add).status_code == 200
    for wrong in ("", "nobody", str(uuid4()), "root"):
        assert client.post(add, {"who": wrong}).status_code == 200
    for who in ("ALICE@example.org", str(visitor)):
        assert client.post(add, {"who": who}).status_code == 302
    for request in ErasureRequest.objects.all():
        assert request.entered_by == admin_user
        carried_out(request)
        page = client.get(f"/admin/privacy/erasurerequest/{request.pk}/change/").content.decode()
        assert str(request.public_id) in page
    assert not Conversation.objects.exists()
    assert list(User.objects.all()) == [admin_user]
    listed = client.get("/admin/privacy/erasurerequest/").content.decode()
    assert "alice" not in listed


@pytest.mark.parametrize("kind", ["user", "visitor", "conversation", "battle", "side"])
def test_an_admin_places_a_hold_by_name(
    client: Client, alice: User, alices: Actor, visitor: UUID, admin_user: User, models: object, kind: str
) -> None:
    chat_of(Actor(visitor_public_id=visitor))
    battle = fought(alices)
    names = {
        "user": ("alice", alice.public_id),
        "visitor": (str(visitor), visitor),
        "conversation": (str(chat_of(alices).public_id), Conversation.objects.get(title="Hello", user=alice).public_id),
        "battle": (str(battle.public_id), battle.public_id),
        "side": (side_id := str(Conversation.objects.filter(side__battle=battle)[0].public_id), UUID(side_id)),
    }
    client.force_login(admin_user)
    named_kind = "conversation" if kind == "side" else kind
    add, hold = "/admin/holds/legalhold/add/", {"kind": named_kind, "reason": "Case 7", "is_told": "on"}
    assert client.get(add).status_code == 200
    assert client.post(add, hold | {"named": str(uuid4())}).status_code == 200
    assert not LegalHold.objects.exists()
    named, subject = names[kind]
    assert client.post(add, hold | {"named": named}).status_code == 302
    placed = LegalHold.objects.get()
    assert (placed.subject, placed.placed_by) == (subject, admin_user)
    assert len(set(placed.covers)) == (3 if kind in ("battle", "side") else 1)
    assert b"There is a hold on this already" in client.post(add, hold | {"named": named}).content
    assert client.get(f"/admin/holds/legalhold/{placed.pk}/change/").status_code == 200
    client.post("/admin/holds/legalhold/", {"action": "lift", "_selected_action": [placed.pk]})
    placed.refresh_from_db()
    assert placed.lifted_by == admin_user


def test_who_may_only_look_at_holds_lifts_none(client: Client, alice: User, bob: User, admin_user: User) -> None:
    client.force_login(admin_user)
    client.post("/admin/holds/legalhold/add/", {"kind": "user", "named": "alice", "reason": "x"})
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_legalhold"))
    client.force_login(bob)
    hold = LegalHold.objects.get()
    client.post("/admin/holds/legalhold/", {"action": "lift", "_selected_action": [hold.pk]})
    hold.refresh_from_db()
    assert hold.lifted_at is None
    assert client.get("/admin/holds/legalhold/add/").status_code == 403
    assert client.get("/admin/privacy/erasurerequest/add/").status_code == 403


def test_accounts_are_not_deleted_past_an_erasure(client: Client, alice: User, admin_user: User) -> None:
    client.force_login(admin_user)
    assert client.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}
    client.post("/admin/accounts/user/", chosen)
    assert User.objects.filter(pk=alice.pk).exists()
