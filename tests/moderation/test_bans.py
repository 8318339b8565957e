"""Whoever is banned takes part nowhere, is told why and until when, and keeps what is theirs."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User, Visitor
from apps.accounts.services import NewKey
from apps.conversations import frames as chat
from apps.conversations.models import Conversation, Feedback, Message
from apps.core.networks import network_digest
from apps.moderation.bans import ban_find
from apps.moderation.errors import CannotBlock
from apps.moderation.models import Ban, Incident, Policy, Rule
from apps.moderation.services.bans import ban_create, ban_lift
from apps.moderation.services.reviews import incident_ban
from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.models import Batch
from fastchat_site.asgi import application
from tests.arena.support import fought, model_ready, open_arena_page
from tests.conversations.pages import Page, open_page
from tests.fake_worker import FakeWorker
from tests.moderation.conftest import MODEL, post
from tests.moderation.test_entry_points import FRAMES, PAGES, chat_of, filled
from tests.openai_api.batch_support import new_batch
from tests.socket_page import cookies_of

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "You were rude to everybody"
DAY = timedelta(days=1)


@pytest.fixture
def moderator() -> User:
    made = User.objects.create_user("mod", is_staff=True)
    allowed = ["view_incident", "review_incident", "view_ban", "add_ban", "change_ban"]
    made.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    return made


@pytest.fixture
def banned(alice: User, moderator: User) -> Ban:
    return ban_create(by=moderator, reason=REASON, lasts=DAY, user=alice)


@pytest.mark.parametrize("route", [*PAGES, "chat/<uuid:conversation_id>/links/create"])
def test_no_form_takes_anything_from_them(client: Client, alice: User, banned: Ban, route: str) -> None:
    client.force_login(alice)
    address, fields = filled(route, PAGES.get(route, {}), chat_of(alice))
    reply = client.post(f"/{address}", fields)
    assert reply.status_code == 403
    assert f"Reason: {REASON}. You may still read" in reply.content.decode()
    assert f"until {banned.expires_at:%-d %B %Y}" in reply.content.decode()


OTHER_FRAMES: list[tuple[type, dict[str, Any]]] = [
    (chat.TurnRegenerate, {"type": "turn.regenerate", "conversation": "chat", "message": "message", "model": MODEL}),
    (chat.TurnContinue, {"type": "turn.continue", "conversation": "chat", "message": "message"}),
    (object, {"type": "battle.vote", "battle": "battle", "turn": 1, "verdict": "a"}),
    (object, {"type": "battle.reveal", "battle": "battle"}),
]


@pytest.mark.parametrize(("kind", "frame"), FRAMES + OTHER_FRAMES)
async def test_no_frame_does_anything_for_them(
    alice: User, moderator: User, worker: FakeWorker, closing: None, kind: type, frame: dict[str, Any]
) -> None:
    def prepared() -> dict[str, UUID]:
        for name in ("owl-7b", "fox-13b"):
            model_ready(name)
        message, battle = chat_of(alice), fought(Actor(user_id=alice.pk))
        return {"chat": message.conversation.public_id, "message": message.public_id, "battle": battle.public_id}

    known = await sync_to_async(prepared)()
    sent = {name: str(known.get(value, value)) if isinstance(value, str) else value for name, value in frame.items()}
    cookies = await sync_to_async(cookies_of)(alice)
    is_chat = frame["type"].startswith("turn")
    async with open_page(cookies) if is_chat else open_arena_page(cookies) as page:
        # A socket that was open before.
        await sync_to_async(ban_create)(by=moderator, reason=REASON, lasts=None, user=alice)
        assert await page.refused({**sent, "ref": "r"}) == "moderation.banned"
    assert worker.requests == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/embeddings", {"input": "Hi"}),
        ("/v1/moderations", {"input": "Hi"}),
        ("/v1/tokenize", {"prompt": "Hi"}),
        ("/v1/battles", {"input": "Hi"}),
        ("/v1/votes", {}),
        ("/v1/batches", {}),
    ],
)
def test_no_program_of_theirs_is_answered(
    client: Client, key: NewKey, banned: Ban, worker: FakeWorker, path: str, body: dict[str, Any]
) -> None:
    reply = post(client, key, path, **body)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["code"]) == (403, "permission_error", "banned")
    assert REASON in error["message"]
    assert worker.requests == []


def test_a_batch_of_theirs_goes_no_further(key: NewKey, moderator: User, alice: User, worker: FakeWorker) -> None:
    url = "/v1/chat/completions"
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    batch = new_batch(key, {"custom_id": "a", "method": "POST", "url": url, "body": body}, endpoint=url)
    batch_advance(batch.pk)
    ban_create(by=moderator, reason=REASON, lasts=None, user=alice)
    batch_advance(batch.pk)
    assert "was banned" in Batch.objects.get().errors[0]["message"]
    assert worker.requests == []


def test_they_still_read_and_delete_what_is_theirs(client: Client, alice: User, banned: Ban) -> None:
    client.force_login(alice)
    chat_id = chat_of(alice).conversation.public_id
    for address in (f"/chat/{chat_id}", "/chats", f"/chat/{chat_id}/export?format=json", "/account/openings"):
        assert client.get(address).status_code == 200
    assert client.post(f"/chat/{chat_id}/delete").status_code == 302
    assert not Conversation.objects.exists()


def test_no_thumb_of_theirs_counts_and_one_is_taken_back(client: Client, alice: User, moderator: User) -> None:
    client.force_login(alice)
    question = chat_of(alice)
    answer = Message.objects.create(conversation=question.conversation, parent=question, role="assistant", content="Hm")
    address = f"/chat/{question.conversation.public_id}/messages/{answer.public_id}/feedback"
    assert client.post(address, {"thumb": "up"}).status_code == 204
    ban_create(by=moderator, reason=REASON, lasts=DAY, user=alice)
    assert client.post(address, {"thumb": "down"}).status_code == 403
    assert Feedback.objects.get().is_good
    assert client.post(address, {"thumb": ""}).status_code == 204
    assert not Feedback.objects.exists()


# --- Whom -------------------------------------------------------------------------------------------------------------


HERE, THERE, HERE6 = "203.0.113.7", "203.0.113.8", "2001:db8:1:2::1"


def start(client: Client, visitor: UUID, address: str) -> int:
    """Whether a visitor may set up a chat, from this address."""
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    return client.post("/chat/settings/save", {"system_prompt": "Be kind."}, REMOTE_ADDR=address).status_code


def test_a_visitor_is_banned_and_with_their_network_a_new_cookie_too(
    client: Client, moderator: User, alice: User
) -> None:
    bad, new = uuid4(), uuid4()
    ban_create(by=moderator, reason=REASON, lasts=DAY, visitor_public_id=bad)
    assert [start(client, bad, HERE), start(client, new, HERE)] == [403, 204]
    for address, neighbour in ((HERE, "::ffff:203.0.113.7"), (HERE6, "2001:db8:1:2:ffff::9")):
        digest = network_digest(address)
        assert address not in digest
        ban_create(by=moderator, reason=REASON, lasts=DAY, visitor_public_id=bad, network_digest=digest)
        assert [start(client, new, address), start(client, new, neighbour)] == [403, 403]
    assert [start(client, new, THERE), start(client, new, "2001:db8:1:3::1"), start(client, bad, THERE)] == [
        204,
        204,
        403,
    ]
    client.force_login(alice)
    assert start(client, new, HERE) == 204


async def test_a_network_is_known_in_a_socket_too(moderator: User, worker: FakeWorker, closing: None) -> None:
    digest = network_digest(HERE)
    await sync_to_async(ban_create)(
        by=moderator, reason=REASON, lasts=None, visitor_public_id=uuid4(), network_digest=digest
    )
    frame = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Hi"}
    cookie = f"{VISITOR_COOKIE}={visitor_cookie_value(uuid4())}"
    headers = [(b"origin", b"http://localhost"), (b"cookie", cookie.encode()), (b"x-forwarded-for", THERE.encode())]
    communicator = WebsocketCommunicator(application, "/ws/chat", headers=headers)
    communicator.scope["client"] = [HERE, 50_000]
    await communicator.connect()
    page = Page(communicator)
    assert await page.refused(frame) == "moderation.banned"
    await page.close()


def test_a_ban_ends_with_its_time_or_when_it_is_lifted(alice: User, moderator: User) -> None:
    actor = Actor(user_id=alice.pk)
    short, long = (ban_create(by=moderator, reason=REASON, lasts=lasts, user=alice) for lasts in (DAY, None))
    assert ban_find(actor) == long
    assert ban_lift(long, by=moderator)
    assert not ban_lift(long, by=moderator)
    assert ban_find(actor) == short
    Ban.objects.filter(pk=short.pk).update(expires_at=timezone.now())
    assert ban_find(actor) is None


def test_a_ban_follows_a_visitor_into_an_account_but_not_into_a_colleagues(
    client: Client, moderator: User, alice: User
) -> None:
    visitor = Visitor.objects.create().public_id
    ban = ban_create(by=moderator, reason=REASON, lasts=None, visitor_public_id=visitor)
    for is_staff, whose in ((True, None), (False, alice)):
        User.objects.filter(pk=alice.pk).update(is_staff=is_staff)
        client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
        assert client.post(reverse("account_login"), {"login": "alice", "password": "correct horse"}).status_code == 302
        ban.refresh_from_db()
        assert ban.user == whose
        client.logout()


# --- By whom ----------------------------------------------------------------------------------------------------------


def incident(**fields: Any) -> Incident:
    return Incident.objects.create(
        surface="chat", action="flag", categories=["rude"], found_by=["House words"], **fields
    )


def act(client: Client, one: Incident, **form: str) -> str:
    act = reverse("admin:moderation_incident_act", args=[one.pk, "ban"])
    return str(client.post(act, form, follow=True).content.decode())


def test_a_moderator_bans_from_the_page_of_an_incident(client: Client, moderator: User, rude: Rule) -> None:
    Policy.objects.create(surface="chat", action="flag")
    visitor = uuid4()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    client.post("/chat/settings/save", {"system_prompt": "Oh bother"}, REMOTE_ADDR=HERE)
    found = Incident.objects.get()
    assert (found.visitor_public_id, found.network_digest) == (visitor, network_digest(HERE))
    client.force_login(moderator)
    shown = client.get(reverse("admin:moderation_incident_review", args=[found.pk])).content.decode()
    assert "Ban this visitor" in shown
    assert "Also every other visitor from the same network" in shown
    assert "author banned" in act(client, found, lasts="30", reason="Rude words.", with_network="on")
    found.refresh_from_db()
    ban = Ban.objects.get()
    assert (found.review, ban.visitor_public_id, ban.network_digest) == ("banned", visitor, found.network_digest)
    assert (ban.reason, ban.by, ban.by_name) == ("Rude words", moderator, "mod")
    assert ban.expires_at is not None
    assert timedelta(days=29) < ban.expires_at - timezone.now() < timedelta(days=31)
    assert LogEntry.objects.filter(change_message="author banned on the page of the incident").exists()
    assert "mod has decided about this incident" in act(client, found, reason="Again")


def test_a_ban_needs_somebody_and_a_reason_and_spares_colleagues(moderator: User, alice: User, key: NewKey) -> None:
    colleague = User.objects.create_user("colleague", is_staff=True)
    for whose, reason in (
        ({"api_key": key.key}, "x"),
        ({"user": alice}, " "),
        ({"user": colleague}, "x"),
        ({"user": moderator}, "x"),
    ):
        with pytest.raises(CannotBlock):
            incident_ban(incident(**whose), reviewer=moderator, reason=reason, lasts=None)
    assert (Ban.objects.count(), set(Incident.objects.values_list("review", flat=True))) == (0, {"open"})


def test_an_admin_bans_and_lifts_and_nobody_changes_or_deletes(client: Client, moderator: User, alice: User) -> None:
    moderator.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", "delete_ban"]))
    client.force_login(moderator)
    add, all_bans = reverse("admin:moderation_ban_add"), reverse("admin:moderation_ban_changelist")
    form = {"user": alice.pk, "reason": REASON, "expires_at_0": "", "expires_at_1": "", "visitor_public_id": ""}
    assert "this is you" in client.post(add, form | {"user": moderator.pk}).content.decode()
    assert "Say whom" in client.post(add, form | {"user": ""}).content.decode()
    assert client.post(add, form).status_code == 302
    ban = Ban.objects.get()
    assert (ban.user, ban.by, ban.expires_at) == (alice, moderator, None)
    shown = client.get(all_bans).content.decode()
    assert REASON in shown
    assert client.post(reverse("admin:moderation_ban_change", args=[ban.pk]), form).status_code == 403
    assert client.post(reverse("admin:moderation_ban_delete", args=[ban.pk]), {"post": "yes"}).status_code == 403
    client.post(all_bans, {"action": "lift", "_selected_action": [ban.pk]})
    ban.refresh_from_db()
    assert (ban.lifted_at is not None, ban.lifted_by_name) == (True, "mod")
