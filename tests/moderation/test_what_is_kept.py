"""An incident leads to what is kept of its text, wherever that is, and to nothing of anybody else's."""

from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User, Visitor
from apps.accounts.services import NewKey, api_key_create
from apps.conversations.exchange.drafts import Draft, DraftMessage
from apps.conversations.kept import COMMENT_MARK
from apps.conversations.models import Conversation, Feedback, Message, Preset, Role, Share
from apps.conversations.services.import_gate import drafts_pass
from apps.conversations.services.imports import chats_import
from apps.conversations.services.shares import share_create
from apps.moderation import selectors
from apps.moderation.actions import REMOVED
from apps.moderation.errors import NothingKept, StillWritten
from apps.moderation.models import Incident, Opening, Policy, Rule
from apps.moderation.services.reviews import incident_open, incident_redact
from apps.openai_api.models import ResponseState, StoredResponse
from tests.arena.support import fought, model_ready
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker
from tests.moderation.conftest import MODEL, post
from tests.socket_page import cookies_of

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "Oh bother, again"
LEFT = f"Oh {REMOVED}, again"


@pytest.fixture
def moderator() -> User:
    made = User.objects.create_user("mod", is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=["view_incident", "review_incident"]))
    return made


@pytest.fixture
def flagged(rude: Rule) -> None:
    for surface in ("chat", "arena", "api"):
        for direction in ("in", "out"):
            Policy.objects.create(surface=surface, direction=direction, action="flag")
    selectors.forget()


def said_by(text: str = SAID, **owner: Any) -> Message:
    chat = Conversation.objects.create(title="Hi", updated_at=timezone.now(), **owner)
    return Message.objects.create(conversation=chat, role=Role.USER, content=text)


def incident(reference: object, **fields: Any) -> Incident:
    given: dict[str, Any] = {"surface": "chat", "action": "flag", "categories": ["rude"], "found_by": ["House words"]}
    return Incident.objects.create(**given | fields, reference=str(reference))


def opened(reader: User, one: Incident) -> list[tuple[str, str]]:
    kept = incident_open(one, reader=reader)
    return [] if kept is None else [(line.speaker, line.text) for line in kept.lines]


# --- Whose ------------------------------------------------------------------------------------------------------------


def test_a_reference_to_what_is_somebody_else_s_leads_nowhere(
    moderator: User, alice: User, charlie: User, key: NewKey, rude: Rule
) -> None:
    keys = [api_key_create(name=name, user=None).key for name in ("one", "two")]
    theirs = [
        said_by(user=alice),
        said_by(visitor=Visitor.objects.create()),
        said_by(api_key=keys[0]),
    ]
    strangers: list[dict[str, Any]] = [
        {"user": charlie}, {"visitor_public_id": UUID(int=1)}, {"api_key": keys[1]}, {},
    ]  # fmt: skip
    for message in theirs:
        for stranger in strangers:
            for reference in (message.public_id, message.conversation.public_id):
                one = incident(reference, **stranger)
                assert incident_open(one, reader=moderator) is None
                with pytest.raises(NothingKept):
                    incident_redact(one, reviewer=moderator)
    assert set(Message.objects.values_list("content", flat=True)) == {SAID}
    assert Opening.objects.count() == 0


def test_a_text_of_a_key_goes_from_that_keys_battles_alone(moderator: User, rude: Rule) -> None:
    one, two = (said_by(api_key=api_key_create(name=name, user=None).key) for name in ("one", "two"))
    incident_redact(incident(one.public_id, api_key=one.conversation.api_key), reviewer=moderator)
    for message in (one, two):
        message.refresh_from_db()
    assert (one.content, two.content) == (LEFT, SAID)


def test_what_is_known_of_a_visitor_follows_them_into_their_account(
    client: Client, moderator: User, alice: User, rude: Rule
) -> None:
    visitor = Visitor.objects.create()
    message = said_by(visitor=visitor)
    one = incident(message.public_id, visitor_public_id=visitor.public_id)
    assert opened(moderator, one)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor.public_id)
    assert client.post(reverse("account_login"), {"login": "alice", "password": "correct horse"}).status_code == 302
    assert str(message.conversation) in client.get(reverse("moderation:openings")).content.decode()
    one.refresh_from_db()
    assert one.user == alice
    incident_redact(one, reviewer=moderator)
    message.refresh_from_db()
    assert message.content == LEFT


def test_that_something_was_opened_stays_when_its_owners_account_goes(moderator: User, alice: User, rude: Rule) -> None:
    opened(moderator, incident(said_by(user=alice).public_id, user=alice))
    number = alice.pk
    alice.delete()
    kept = Opening.objects.get()
    assert (kept.owner, kept.whose, kept.reader) == (None, f"account {number}", moderator)


# --- What -------------------------------------------------------------------------------------------------------------


def test_what_one_finder_cannot_point_at_takes_all_of_the_text_with_it(
    moderator: User, alice: User, rude: Rule
) -> None:
    Rule.objects.create(name="Long", category="long", kind="length", pattern="5")
    for found_by in (["House words", "Long"], ["House words", "judge"], ["House words", "a rule that is gone"]):
        message = said_by(user=alice)
        incident_redact(incident(message.public_id, user=alice, found_by=found_by), reviewer=moderator)
        message.refresh_from_db()
        assert message.content == REMOVED


def test_titles_folders_and_prompts_are_taken_out_wherever_they_are(moderator: User, alice: User, rude: Rule) -> None:
    fields = {"title": SAID, "folder": SAID, "system_prompt": f"Be a bother. {SAID}"}
    one, two = (
        Conversation.objects.create(user=alice, updated_at=timezone.now(), **fields | {"title": title})
        for title in (SAID, "Mine")
    )
    preset = Preset.objects.create(user=alice, name="Mine", system_prompt=one.system_prompt)
    share = Share.objects.create(token="t", conversation=one, title=SAID, messages=[])
    found = incident(one.public_id, user=alice)
    assert opened(moderator, found) == [("Title", SAID), ("Folder", SAID), ("System prompt", one.system_prompt)]
    incident_redact(found, reviewer=moderator)
    for row in (one, two, preset, share):
        row.refresh_from_db()
    prompt = f"Be a {REMOVED}. {LEFT}"
    assert (one.title, one.folder, one.system_prompt, share.title) == (LEFT, LEFT, prompt, LEFT)
    assert (two.title, two.folder, two.system_prompt, preset.system_prompt) == ("Mine", LEFT, prompt, prompt)


def test_presets_and_comments_are_taken_out(client: Client, moderator: User, alice: User, flagged: None) -> None:
    message = said_by("Hi", user=alice)
    answer = Message.objects.create(
        conversation=message.conversation, parent=message, role=Role.ASSISTANT, content="Well"
    )
    client.force_login(alice)
    client.post("/chat/presets/save", {"preset_name": "What a bother", "system_prompt": "Be kind."})
    client.post("/chat/presets/save", {"preset_name": "Fine", "system_prompt": SAID})
    chat = message.conversation.public_id
    client.post(f"/chat/{chat}/messages/{answer.public_id}/feedback", {"thumb": "down", "comment": SAID})
    said = [opened(moderator, one) for one in Incident.objects.order_by("pk")]
    assert said == [
        [("Preset", "What a bother"), ("System prompt", "Be kind.")],
        [("Preset", "Fine"), ("System prompt", SAID)],
        [("Assistant", "Well"), ("Comment", SAID)],
    ]
    for one in Incident.objects.all():
        incident_redact(one, reviewer=moderator)
    kept = {preset.name[:10]: preset.system_prompt for preset in Preset.objects.all()}
    assert kept == {"What a [re": "Be kind.", "Fine": LEFT}
    assert Feedback.objects.get().comment == LEFT
    assert Incident.objects.get(reference__startswith=COMMENT_MARK).review == "redacted"


async def test_the_settings_of_a_new_chat_lead_to_it(
    moderator: User, alice: User, worker: FakeWorker, flagged: None, closing: None
) -> None:
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        frame = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Hi"}
        await page.send(frame | {"settings": {"system_prompt": SAID}})
        await page.until_end((await page.until("turn.accepted"))["generation"])

    def check() -> None:
        one = Incident.objects.get()
        assert ("System prompt", SAID) in opened(moderator, one)
        incident_redact(one, reviewer=moderator)
        assert Conversation.objects.get().system_prompt == LEFT

    await sync_to_async(check)()


def test_of_an_import_each_message_has_its_incident(moderator: User, alice: User, flagged: None) -> None:
    actor = Actor(user_id=alice.pk)
    messages = [DraftMessage(None, "user", SAID), DraftMessage(0, "assistant", "Hm"), DraftMessage(1, "user", SAID)]
    drafts = [Draft(title=SAID, system_prompt="Be kind.", messages=messages)]
    async_to_sync(drafts_pass)(actor, drafts)
    chats_import(actor=actor, drafts=drafts)
    shown = [opened(moderator, one) for one in Incident.objects.order_by("pk")]
    first = [("User (imported)", SAID)]
    assert shown == [
        [("Title", SAID), ("System prompt", "Be kind.")],
        first,
        [*first, ("Assistant (imported)", "Hm"), *first],
    ]


def test_what_is_shared_leads_to_its_message_and_goes_from_the_copy(
    moderator: User, alice: User, flagged: None
) -> None:
    message = said_by(f"{SAID} and again", user=alice)
    Conversation.objects.update(active_leaf=message)
    Rule.objects.create(name="Again", category="again", kind="words", pattern="again")
    Policy.objects.create(surface="chat", action="redact", category="again")
    selectors.forget()
    share = share_create(actor=Actor(user_id=alice.pk), conversation_id=message.conversation.public_id, lasts=None)
    assert share.messages[0]["content"] == f"Oh bother, {REMOVED} and {REMOVED}"
    one = Incident.objects.get()
    assert one.reference == str(message.public_id)
    Incident.objects.update(found_by=["House words"])
    one.refresh_from_db()
    incident_redact(one, reviewer=moderator)
    share.refresh_from_db()
    message.refresh_from_db()
    assert share.messages[0]["content"] == f"Oh {REMOVED}, {REMOVED} and {REMOVED}"
    assert "bother" not in share.messages[0]["html"]
    assert message.content == f"{LEFT} and again"


def test_what_was_asked_in_a_battle_is_opened_and_taken_out_on_both_sides(
    moderator: User, alice: User, charlie: User, rude: Rule
) -> None:
    for name in ("owl-7b", "fox-13b"):
        model_ready(name)
    battle = fought(Actor(user_id=alice.pk), SAID)
    one = incident(battle.public_id, surface="arena", user=alice)
    assert opened(moderator, one) == [("User", SAID)]
    assert incident_open(incident(battle.public_id, surface="arena", user=charlie), reader=moderator) is None
    incident_redact(one, reviewer=moderator)
    asked = Message.objects.filter(role=Role.USER)
    assert list(asked.values_list("content", flat=True)) == [LEFT, LEFT]
    assert set(Conversation.objects.values_list("title", flat=True)) == {LEFT}


def test_a_response_that_is_kept_is_opened_and_taken_out(
    client: Client, moderator: User, alice: User, key: NewKey, worker: FakeWorker, flagged: None
) -> None:
    for _ in range(2):
        worker.play("Such a bother")
    post(client, key, "/v1/responses", input=SAID, instructions="Be kind.", store=False)
    post(client, key, "/v1/responses", input=SAID, instructions="Be kind.")
    unkept, kept = (list(Incident.objects.order_by("pk")[at : at + 2]) for at in (0, 2))
    assert [opened(moderator, one) for one in unkept] == [[], []]
    assert [one.direction for one in kept] == ["in", "out"]
    said = [("Instructions", "Be kind."), ("User", SAID), ("Assistant", "Such a bother")]
    assert [opened(moderator, one) for one in kept] == [said, said]
    assert {opening.owner for opening in Opening.objects.all()} == {alice}
    stranger = incident(kept[0].reference, surface="api", api_key=api_key_create(name="x", user=None).key)
    assert incident_open(stranger, reader=moderator) is None
    StoredResponse.objects.update(state=ResponseState.IN_PROGRESS)
    with pytest.raises(StillWritten):
        incident_redact(kept[0], reviewer=moderator)
    StoredResponse.objects.update(state=ResponseState.COMPLETED)
    incident_redact(kept[0], reviewer=moderator)
    assert opened(moderator, kept[0]) == [
        ("Instructions", "Be kind."),
        ("User", LEFT),
        ("Assistant", f"Such a {REMOVED}"),
    ]
