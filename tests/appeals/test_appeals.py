"""Appeals: from the page that says what was decided, to a moderator, and back with words."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.accounts.actors import VISITOR_COOKIE, visitor_cookie_value
from apps.accounts.models import User
from apps.appeals.errors import AlreadyAnswered
from apps.appeals.models import Appeal, Outcome
from apps.appeals.services import appeal_answer
from apps.moderation.choices import Review
from apps.moderation.errors import Banned, TextRefused
from apps.moderation.models import Ban, Incident
from apps.moderation.services.bans import ban_create

pytestmark = pytest.mark.django_db

PAGE = "/account/appeals"


def refused(user: User | None = None, **more: object) -> Incident:
    fields = {"surface": "chat", "action": "refuse", "categories": ["rude"], "found_by": ["House words"], "user": user}
    return Incident.objects.create(**(fields | more))


@pytest.fixture
def moderator(db: None) -> User:
    made = User.objects.create_user("mona", "mona@example.org", "correct horse", is_staff=True)
    made.user_permissions.add(Permission.objects.get(codename="review_incident"))
    return made


def test_whoever_was_refused_is_told_where_to_appeal() -> None:
    assert PAGE in TextRefused(reason="House words (rude)").message


def test_an_appeal_goes_to_a_moderator_and_its_answer_comes_back(alice: User, moderator: User) -> None:
    incident, alices, monas = refused(alice), Client(), Client()
    alices.force_login(alice)
    monas.force_login(moderator)
    page = alices.get(PAGE).content.decode()
    assert "What you sent was refused, because of House words (rude)." in page
    assert alices.post(f"{PAGE}/{incident.pk}", {"text": " It was <b>a quote</b>. "}).status_code == 302
    assert "No moderator has answered yet" in alices.get(PAGE).content.decode()

    appeal = Appeal.objects.get()
    assert appeal.text == "It was <b>a quote</b>."
    assert "<b>a quote" not in alices.get(PAGE).content.decode()
    address = f"/admin/appeals/appeal/{appeal.pk}/change/"
    assert address in monas.get(f"/admin/moderation/incident/{incident.pk}/review/").content.decode()
    assert "a quote" not in monas.get("/admin/appeals/appeal/").content.decode()
    assert "a quote" in monas.get(address).content.decode()
    assert monas.post(address, {"outcome": "overturned", "answer": "Right, sorry."}).status_code == 302

    page = alices.get(PAGE).content.decode()
    assert "Overturned: it was a mistake" in page
    assert "Right, sorry." in page
    incident.refresh_from_db()
    assert (incident.review, incident.reviewed_by) == (Review.APPROVED, moderator)
    entry = LogEntry.objects.get(object_repr=str(appeal))
    assert entry.user == moderator
    assert "sorry" not in entry.change_message


@pytest.mark.parametrize("answer", [{"outcome": "open", "answer": "Hm"}, {"outcome": "upheld", "answer": " "}])
def test_an_answer_has_a_decision_and_words(alice: User, moderator: User, answer: dict[str, str]) -> None:
    appeal, monas = Appeal.objects.create(incident=refused(alice), text="No"), Client()
    monas.force_login(moderator)
    assert monas.post(f"/admin/appeals/appeal/{appeal.pk}/change/", answer).status_code == 200
    appeal.refresh_from_db()
    assert (appeal.outcome, appeal.answer) == (Outcome.OPEN, "")


def test_an_appeal_that_is_upheld_leaves_the_incident_open(alice: User, moderator: User) -> None:
    appeal = Appeal.objects.create(incident=refused(alice), text="No")
    appeal_answer(appeal, outcome=Outcome.UPHELD, answer="It is a rule.", moderator=moderator)
    assert Incident.objects.get().review == Review.OPEN


def test_an_appeal_is_answered_once(alice: User, bob: User, moderator: User) -> None:
    appeal = Appeal.objects.create(incident=refused(alice), text="No")
    appeal_answer(appeal, outcome=Outcome.UPHELD, answer="It is a rule.", moderator=moderator)
    with pytest.raises(AlreadyAnswered):
        appeal_answer(appeal, outcome=Outcome.OVERTURNED, answer="No, it is not.", moderator=bob)
    appeal.refresh_from_db()
    assert (appeal.outcome, appeal.answered_by) == (Outcome.UPHELD, moderator)
    monas = Client()
    monas.force_login(moderator)
    address = f"/admin/appeals/appeal/{appeal.pk}/change/"
    assert monas.get(address).status_code == 200
    assert monas.post(address, {"outcome": "overturned", "answer": "Hm"}).status_code == 403


@pytest.mark.parametrize("text", ["", "  \0 ", "x" * 2001])
def test_an_appeal_says_something_and_not_too_much(client: Client, alice: User, text: str) -> None:
    incident = refused(alice)
    client.force_login(alice)
    reply = client.post(f"{PAGE}/{incident.pk}", {"text": text})
    assert reply.status_code == 400
    assert "1 to 2000 characters" in reply.content.decode()
    assert not Appeal.objects.exists()


def test_there_is_one_appeal_for_a_decision(client: Client, alice: User) -> None:
    incident = refused(alice)
    client.force_login(alice)
    assert client.post(f"{PAGE}/{incident.pk}", {"text": "One"}).status_code == 302
    assert client.post(f"{PAGE}/{incident.pk}", {"text": "Two"}).status_code == 409
    assert Appeal.objects.get().text == "One"


def test_a_visitor_appeals_too(client: Client, visitor: UUID) -> None:
    incident = refused(visitor_public_id=visitor)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    assert client.post(f"{PAGE}/{incident.pk}", {"text": "No"}).status_code == 302


def test_strangers_see_and_appeal_nothing_of_alices(client: Client, alice: User, charlie: User) -> None:
    mine, of_nobody = refused(alice), refused()
    clients = [Client(), Client(), Client()]
    clients[0].force_login(charlie)
    clients[1].cookies[VISITOR_COOKIE] = visitor_cookie_value(uuid4())
    for stranger in clients:
        assert "House words" not in stranger.get(PAGE).content.decode()
        for incident in (mine, of_nobody):
            assert stranger.post(f"{PAGE}/{incident.pk}", {"text": "No"}).status_code == 404
    assert not Appeal.objects.exists()


def test_what_was_only_flagged_is_neither_told_nor_appealed(client: Client, alice: User) -> None:
    """Whoever is flagged is not told; nothing changed for them."""
    incident = refused(alice, action="flag")
    client.force_login(alice)
    assert "House words" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}/{incident.pk}", {"text": "No"}).status_code == 404
    Incident.objects.update(review=Review.REDACTED)
    assert "A moderator took it out" in client.get(PAGE).content.decode()


def test_staff_who_do_not_review_see_no_appeals(client: Client, alice: User, bob: User) -> None:
    appeal = Appeal.objects.create(incident=refused(alice), text="No")
    bob.is_staff = True
    bob.save()
    client.force_login(bob)
    assert client.get("/admin/appeals/appeal/").status_code == 403
    assert client.get(f"/admin/appeals/appeal/{appeal.pk}/change/").status_code == 403


def test_a_ban_is_appealed_and_lifted(alice: User, bob: User, moderator: User) -> None:
    ban = ban_create(by=moderator, reason="Spam", lasts=None, user=alice)
    alices, bobs, monas = Client(), Client(), Client()
    for client, user in ((alices, alice), (bobs, bob), (monas, moderator)):
        client.force_login(user)
    assert PAGE in Banned(until="for good", reason="Spam").message
    assert 'You may not take part, because: <span dir="auto">Spam' in alices.get(PAGE).content.decode()
    assert "Spam" not in bobs.get(PAGE).content.decode()
    assert bobs.post(f"{PAGE}/bans/{ban.pk}", {"text": "No"}).status_code == 404
    assert alices.post(f"{PAGE}/bans/{ban.pk}", {"text": ""}).status_code == 400
    assert alices.post(f"{PAGE}/bans/{ban.pk}", {"text": "It was not me."}).status_code == 302
    assert alices.post(f"{PAGE}/bans/{ban.pk}", {"text": "Again"}).status_code == 409

    address = f"/admin/appeals/appeal/{Appeal.objects.get().pk}/change/"
    assert "It was not me." in monas.get(address).content.decode()
    assert "ban of account alice" in monas.get("/admin/appeals/appeal/").content.decode()
    assert monas.post(address, {"outcome": "overturned", "answer": "You are right."}).status_code == 302
    ban.refresh_from_db()
    assert (ban.lifted_at is not None, ban.lifted_by_name) == (True, "mona")
    page = alices.get(PAGE).content.decode()
    assert "You are right." in page
    assert ", lifted" in page
    assert "You may not take part" not in page
    assert 'You could not take part, because: <span dir="auto">Spam' in page


def test_a_visitor_appeals_against_a_ban_while_it_is_in_force(client: Client, visitor: UUID, moderator: User) -> None:
    bans = [
        ban_create(by=moderator, reason="Spam", lasts=lasts, visitor_public_id=visitor)
        for lasts in (timedelta(0), timedelta(days=1))
    ]
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    statuses = [client.post(f"{PAGE}/bans/{ban.pk}", {"text": "No"}).status_code for ban in bans]
    assert statuses == [404, 302]
    Ban.objects.update(expires_at=timezone.now())
    page = client.get(PAGE).content.decode()
    assert ["You could not take part" in page, "You may not take part" in page] == [True, False]
