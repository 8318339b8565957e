"""Moderators decide about incidents: each once, with the text before their eyes if it is kept, and not unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db.models import Q
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.actors import VISITOR_COOKIE, visitor_cookie_value
from apps.accounts.models import ApiKey, User, Visitor
from apps.accounts.services import NewKey, api_key_create
from apps.conversations.errors import AnswerRunning
from apps.conversations.models import Conversation, Generation, GenerationState, Message, Purpose, Role, Share
from apps.moderation.actions import REMOVED
from apps.moderation.admin import incidents as incidents_admin
from apps.moderation.errors import AlreadyReviewed, CannotBlock, NothingKept
from apps.moderation.models import Incident, Opening, Policy, Rule
from apps.moderation.selectors import DayCount, incidents_by_day
from apps.moderation.services import reviews
from apps.moderation.services.reviews import incident_approve, incident_block, incident_open, incident_redact
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker
from tests.socket_page import cookies_of

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "Oh bother, again"


@pytest.fixture
def moderator() -> User:
    made = User.objects.create_user("mod", is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=["view_incident", "review_incident"]))
    return made


@pytest.fixture
def message(alice: User) -> Message:
    conversation = Conversation.objects.create(user=alice, title=SAID, updated_at=timezone.now())
    return Message.objects.create(conversation=conversation, role=Role.USER, content=SAID)


def incident(reference: object = "", **fields: Any) -> Incident:
    given: dict[str, Any] = {"surface": "chat", "action": "flag", "categories": ["rude"], "found_by": ["House words"]}
    if isinstance(reference, UUID):
        said = Q(messages__public_id=reference) | Q(generations__public_id=reference)
        if (chat := Conversation.objects.filter(said).first()) is not None:
            visitor_public_id = chat.visitor.public_id if chat.visitor is not None else None
            given |= {"user": chat.user, "visitor_public_id": visitor_public_id, "api_key": chat.api_key}
    return Incident.objects.create(**given | fields, reference=str(reference))


def answer_to(message: Message, text: str, state: GenerationState = GenerationState.COMPLETE) -> Generation:
    answer = Message.objects.create(
        conversation=message.conversation, parent=message, role=Role.ASSISTANT, content=text
    )
    return Generation.objects.create(conversation=message.conversation, message=answer, state=state)


async def test_what_is_flagged_in_the_chat_leads_to_its_message_and_its_answer(
    alice: User, moderator: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    for direction in ("in", "out"):
        await sync_to_async(Policy.objects.create)(surface="chat", direction=direction, action="flag")
    worker.play("Such a bother")
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        await page.until_end((await page.ask(SAID))["generation"])

    def opened() -> list[list[tuple[str, str, bool]]]:
        kept = [incident_open(one, reader=moderator) for one in Incident.objects.order_by("pk")]
        return [[(line.speaker, line.text, line.is_subject) for line in one.lines] for one in kept if one]

    assert await sync_to_async(opened)() == [
        [("User", SAID, True)],
        [("User", SAID, False), ("Assistant", "Such a bother", True)],
    ]


def test_what_is_kept_nowhere_cannot_be_opened_nor_taken_out(moderator: User, alice: User) -> None:
    for one in (incident(uuid4()), incident(), incident("no id"), incident("req", surface="api", user=alice)):
        assert incident_open(one, reader=moderator) is None
        with pytest.raises(NothingKept):
            incident_redact(one, reviewer=moderator)
        one.refresh_from_db()
        assert one.review == "open"
    assert LogEntry.objects.count() == 0


def test_a_text_is_taken_out_where_its_rules_find_something_and_from_the_title_too(
    moderator: User, message: Message, rude: Rule
) -> None:
    incident_redact(incident(message.public_id), reviewer=moderator)
    message.refresh_from_db()
    message.conversation.refresh_from_db()
    assert message.content == message.conversation.title == f"Oh {REMOVED}, again"


def test_a_text_is_taken_out_wherever_its_owner_has_it_and_nowhere_else(
    moderator: User, message: Message, charlie: User, rude: Rule
) -> None:
    fork = Conversation.objects.create(user=message.conversation.user, title=SAID, updated_at=timezone.now())
    copy = Message.objects.create(conversation=fork, role=Role.USER, content=SAID)
    shared = [{"role": "user", "content": SAID, "author": ""}, {"role": "assistant", "content": "Hi", "author": "m"}]
    share = Share.objects.create(token="t", conversation=fork, title=SAID, messages=shared)
    strangers = Conversation.objects.create(user=charlie, title=SAID, updated_at=timezone.now())
    other = Message.objects.create(conversation=strangers, role=Role.USER, content=SAID)
    incident_redact(incident(message.public_id), reviewer=moderator)
    for row in (copy, fork, share, other, strangers):
        row.refresh_from_db()
    taken_out = f"Oh {REMOVED}, again"
    assert copy.content == fork.title == share.title == taken_out
    assert [one["content"] for one in share.messages] == [taken_out, "Hi"]
    assert other.content == strangers.title == SAID


def test_a_text_of_which_nobody_can_say_where_it_is_wrong_goes_as_a_whole(moderator: User, message: Message) -> None:
    message.conversation.title = "Named by its owner"
    message.conversation.save()
    generation = answer_to(message, "I hate it")
    incident_redact(incident(generation.public_id, found_by=["judge"]), reviewer=moderator)
    generation.message.refresh_from_db()
    message.refresh_from_db()
    message.conversation.refresh_from_db()
    assert (generation.message.content, message.content) == (REMOVED, SAID)
    assert message.conversation.title == "Named by its owner"


def test_an_answer_that_is_still_written_is_not_touched(moderator: User, message: Message, rude: Rule) -> None:
    one = incident(answer_to(message, SAID, GenerationState.RUNNING).public_id)
    with pytest.raises(AnswerRunning):
        incident_redact(one, reviewer=moderator)
    one.refresh_from_db()
    assert one.review == "open"


def test_of_two_moderators_one_decides(moderator: User, bob: User) -> None:
    one = incident()
    incident_approve(one, reviewer=moderator)
    with pytest.raises(AlreadyReviewed, match="mod has decided about this incident: approved"):
        incident_block(Incident.objects.get(), reviewer=bob)
    one.refresh_from_db()
    assert (one.review, one.reviewed_by) == ("approved", moderator)
    assert one.reviewed_at is not None


def test_an_account_is_blocked_or_a_key_that_has_none(moderator: User, alice: User, key: NewKey) -> None:
    incident_block(incident(user=alice, api_key=key.key), reviewer=moderator)
    alice.refresh_from_db()
    assert alice.is_active is False
    assert ApiKey.objects.get().revoked_at is None  # it opens nothing while its owner is switched off
    alone = api_key_create(name="site", user=None).key
    incident_block(incident(api_key=alone, surface="api"), reviewer=moderator)
    alone.refresh_from_db()
    assert alone.revoked_at is not None


def test_nobody_blocks_themselves_nor_a_colleague_nor_a_visitor(moderator: User, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    for whose in ({"user": moderator}, {"user": User.objects.get(pk=alice.pk)}, {"visitor_public_id": uuid4()}):
        with pytest.raises(CannotBlock):
            incident_block(incident(**whose), reviewer=moderator)
    assert set(Incident.objects.values_list("review", flat=True)) == {"open"}
    assert User.objects.filter(is_active=False).count() == 0
    root = User.objects.create_superuser("root")
    incident_block(Incident.objects.filter(user=alice).get(), reviewer=root)
    assert User.objects.get(pk=alice.pk).is_active is False


# --- The admin --------------------------------------------------------------------------------------------------------


def test_the_page_of_an_incident_shows_why_and_what_was_said_and_leaves_a_trace(
    client: Client, moderator: User, message: Message, rude: Rule
) -> None:
    one = incident(message.public_id, user=message.conversation.user)
    client.force_login(moderator)
    changelist = client.get(reverse("admin:moderation_incident_changelist")).content.decode()
    assert reverse("admin:moderation_incident_review", args=[one.pk]) in changelist
    assert SAID not in changelist
    assert LogEntry.objects.count() == 0
    shown = client.get(reverse("admin:moderation_incident_review", args=[one.pk]))
    assert "no-cache" in shown["Cache-Control"]
    for words in ("rude", "House words", "alice", SAID, "Take it out"):
        assert words in shown.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (moderator, str(message.conversation_id))
    assert entry.change_message.startswith("Opened a private conversation: a rule")


@pytest.mark.parametrize(("verb", "review"), [("approve", "approved"), ("redact", "redacted"), ("block", "blocked")])
def test_what_a_moderator_decides_is_done_once_and_written_down(
    client: Client, moderator: User, message: Message, rude: Rule, verb: str, review: str
) -> None:
    one = incident(message.public_id, user=message.conversation.user)
    client.force_login(moderator)
    act = reverse("admin:moderation_incident_act", args=[one.pk, verb])
    assert client.post(act, follow=True).status_code == 200
    one.refresh_from_db()
    assert (one.review, one.reviewed_by) == (review, moderator)
    assert LogEntry.objects.filter(change_message__contains="on the page of the incident").count() == 1
    again = client.post(act, follow=True).content.decode()
    assert "mod has decided about this incident" in again
    assert LogEntry.objects.filter(change_message__contains="on the page of the incident").count() == 1


def test_many_are_approved_at_once(client: Client, moderator: User) -> None:
    pks = [incident().pk for _ in range(3)]
    incident_approve(Incident.objects.get(pk=pks[0]), reviewer=moderator)
    client.force_login(moderator)
    chosen = {"action": "approve", "_selected_action": pks}
    page = client.post(reverse("admin:moderation_incident_changelist"), chosen, follow=True).content.decode()
    assert "2 incident(s) approved." in page
    assert Incident.objects.filter(review="approved").count() == 3
    assert LogEntry.objects.filter(change_message="approved by action").count() == 2


def test_of_very_many_some_are_approved_at_once_and_the_rest_is_told(
    client: Client, moderator: User, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    for module in (reviews, incidents_admin):
        monkeypatch.setattr(module, "APPROVED_AT_ONCE", 4)
    pks = [incident().pk for _ in range(6)]
    client.force_login(moderator)
    chosen = {"action": "approve", "_selected_action": pks}
    with django_assert_max_num_queries(20):
        client.post(reverse("admin:moderation_incident_changelist"), chosen)
    page = client.get(reverse("admin:moderation_incident_changelist")).content.decode()
    assert "4 incident(s) approved." in page
    assert "2 are still open" in page
    assert sorted(Incident.objects.filter(review="open").values_list("pk", flat=True)) == pks[:2]


def test_incidents_are_counted_by_day_in_one_query(
    client: Client, moderator: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = datetime(2020, 3, 10, 0, 30, tzinfo=UTC)
    for hours, action in [(0, "flag"), (0, "refuse"), (1, "redact"), (1, "flag"), (24 * 14, "flag")]:
        one = incident(action=action)
        Incident.objects.filter(pk=one.pk).update(created_at=now - timedelta(hours=hours))
    incident_approve(Incident.objects.order_by("pk")[0], reviewer=moderator)
    with django_assert_num_queries(1):
        counted = incidents_by_day(now.date())
    today, yesterday = now.date(), now.date() - timedelta(days=1)
    assert counted == [DayCount(today, 1, 0, 1, 1), DayCount(yesterday, 1, 1, 0, 2)]
    incident(action="flag")
    client.force_login(moderator)
    shown = client.get(reverse("admin:moderation_incident_changelist")).content.decode()
    assert "The last two weeks" in shown
    assert f'<th scope="row">{timezone.now():%Y-%m-%d}</th><td>1</td>' in shown


def test_charlie_and_a_colleague_without_the_permission_see_and_decide_nothing(
    client: Client, charlie: User, message: Message
) -> None:
    one = incident(message.public_id)
    page = reverse("admin:moderation_incident_review", args=[one.pk])
    act = reverse("admin:moderation_incident_act", args=[one.pk, "approve"])
    client.force_login(charlie)
    assert (client.get(page).status_code, client.post(act).status_code) == (302, 302)
    colleague = User.objects.create_user("colleague", is_staff=True)
    colleague.user_permissions.set(Permission.objects.filter(codename="view_incident"))
    client.force_login(colleague)
    assert (client.get(page).status_code, client.post(act).status_code) == (403, 403)
    one.refresh_from_db()
    assert (one.review, LogEntry.objects.count()) == ("open", 0)


def test_what_was_said_is_text_on_the_page_and_odd_acts_are_none(
    client: Client, moderator: User, message: Message
) -> None:
    Message.objects.update(content="<script>alert(1)</script>")
    one = incident(message.public_id)
    client.force_login(moderator)
    page = reverse("admin:moderation_incident_review", args=[one.pk])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in client.get(page).content.decode()
    assert client.post(page).status_code == 405
    assert client.get(reverse("admin:moderation_incident_act", args=[one.pk, "approve"])).status_code == 405
    assert client.post(reverse("admin:moderation_incident_act", args=[one.pk, "nothing"])).status_code == 404


# --- What owners learn of it ------------------------------------------------------------------------------------------


def test_whose_chat_was_opened_learns_when_and_why_and_nobody_else_does(
    client: Client, moderator: User, message: Message, charlie: User
) -> None:
    incident_open(incident(message.public_id), reader=moderator)
    root = User.objects.create_superuser("root")
    client.force_login(root)
    chat = message.conversation
    assert client.get(reverse("admin:conversations_conversation_change", args=[chat.pk])).status_code == 200
    client.force_login(message.conversation.user)  # type: ignore[arg-type]  # it has one
    page = client.get(reverse("moderation:openings"))
    assert "no-cache" in page["Cache-Control"]
    shown = page.content.decode()
    for words in (f"/chat/{chat.public_id}", "a rule or classifier found something", "an administrator looked at it"):
        assert words in shown
    assert moderator.username not in shown
    for stranger in (charlie, root):
        client.force_login(stranger)
        assert "Nobody has opened any of them." in client.get(reverse("moderation:openings")).content.decode()
    client.logout()
    assert "Nobody has opened any of them." in client.get(reverse("moderation:openings")).content.decode()


def test_a_visitor_learns_it_too_and_a_battle_is_no_link(client: Client, moderator: User) -> None:
    visitor = Visitor.objects.create()
    for purpose in Purpose:
        conversation = Conversation.objects.create(
            visitor=visitor, title="Hi", purpose=purpose, updated_at=timezone.now()
        )
        said = Message.objects.create(conversation=conversation, role=Role.USER, content=SAID)
        incident_open(incident(said.public_id), reader=moderator)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor.public_id)
    shown = client.get(reverse("moderation:openings")).content.decode()
    assert shown.count("a rule or classifier found something") == 2
    assert shown.count('<a href="/chat/') == 1


def test_who_opened_what_stays_written_down(client: Client, moderator: User, message: Message) -> None:
    incident_open(incident(message.public_id), reader=moderator)
    moderator.delete()
    opening = Opening.objects.get()
    assert (opening.reader, opening.reader_name) == (None, "mod")
    client.force_login(User.objects.create_superuser("root"))
    assert "mod" in client.get(reverse("admin:moderation_opening_changelist")).content.decode()
    for act in ("change", "delete"):
        address = reverse(f"admin:moderation_opening_{act}", args=[opening.pk])
        assert client.post(address, {"post": "yes"}).status_code == 403
