"""What people say about training: kept change by change, theirs alone, and gone with them."""

from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User, Visitor
from apps.consents.models import Consent, How, Kind
from apps.consents.selectors import answers_of, consents_in_force
from apps.consents.services import consent_answer, consents_withdraw
from apps.holds.models import HeldKind
from apps.privacy.models import ErasureState
from apps.privacy.services.erasures import erasure_ask
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.live import wait_until
from tests.privacy.conftest import admin_user, carried_out, held

__all__ = ["admin_user"]

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


def allowed(actor: Actor) -> set[Kind]:
    return {kind for kind in Kind if consents_in_force(kind).filter(pk__in=answers_of(actor)).exists()}


def said(actor: Actor) -> list[tuple[str, bool]]:
    """The oldest first."""
    return list(answers_of(actor).order_by("pk").values_list("kind", "is_given"))


def test_nobody_has_consented_who_was_not_asked(client: Client, alice: User, alices: Actor) -> None:
    client.force_login(alice)
    page = client.get("/account/erase").content.decode()
    assert page.count("You have not answered: they are not used.") == 2
    assert allowed(alices) == set()
    client.post("/account/training", {})
    assert not Consent.objects.exists()


def test_each_kind_is_answered_apart_and_each_change_is_a_row(client: Client, alice: User, alices: Actor) -> None:
    client.force_login(alice)
    reply = client.post("/account/training", {"chats": "on"}, follow=True)
    page = reply.content.decode()
    assert "Chats: they may be used for training from now on." in page
    assert "Allowed since" in page
    assert allowed(alices) == {Kind.CHATS}
    client.post("/account/training", {"chats": "on", "battles": "on"})
    client.post("/account/training", {"chats": "on", "battles": "on"})
    assert allowed(alices) == {Kind.CHATS, Kind.BATTLES}
    page = client.post("/account/training", {"battles": "on"}, follow=True).content.decode()
    assert "Chats: they are not used any more." in page
    assert "Not allowed since" in page
    assert allowed(alices) == {Kind.BATTLES}
    assert said(alices) == [("chats", True), ("battles", True), ("chats", False)]


def test_an_answer_is_one_person_s_alone(client: Client, alices: Actor, charlie: User, visitor: UUID) -> None:
    consent_answer(actor=alices, kind=Kind.CHATS, is_given=True)
    client.force_login(charlie)
    assert "Allowed since" not in client.get("/account/erase").content.decode()
    client.post("/account/training", {"battles": "on"})
    client.logout()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    client.post("/account/training", {"chats": "on"})
    assert said(alices) == [("chats", True)]
    assert allowed(Actor(user_id=charlie.pk)) == {Kind.BATTLES}
    assert allowed(Actor(visitor_public_id=visitor)) == {Kind.CHATS}


def test_whoever_is_unknown_says_nothing(client: Client) -> None:
    assert "Use for training" not in client.get("/account/erase").content.decode()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(uuid4())[:-1] + "x"
    assert client.post("/account/training", {"chats": "on"}).status_code == 302
    assert client.get("/account/training").status_code == 405
    assert not Consent.objects.exists()
    assert not Visitor.objects.exists()


def test_another_site_cannot_answer_for_somebody(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/account/training", {"chats": "on"}).status_code == 403
    assert not Consent.objects.exists()


@pytest.mark.parametrize(
    ("before", "own", "after"),
    [
        ([True], [], False),
        ([False, True, False], [], False),
        ([True, False], [], False),
        ([], [True], True),
        ([True], [True], True),
        ([True], [True, False], False),
        ([True, False], [True], False),
    ],
)
def test_what_a_visitor_answered_follows_at_sign_in_and_is_no_yes_of_the_account(
    client: Client, alice: User, alices: Actor, visitor: UUID, before: list[bool], own: list[bool], after: bool
) -> None:
    visitors = Actor(visitor_public_id=visitor)
    for actor, answers in ((alices, own), (visitors, before)):
        for is_given in answers:
            consent_answer(actor=actor, kind=Kind.CHATS, is_given=is_given)
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    reply = client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert reply.status_code == 302
    assert allowed(alices) == ({Kind.CHATS} if after else set())
    assert not answers_of(visitors).exists()
    met = Consent.objects.filter(how=How.SIGN_IN)
    assert met.exists() == bool(before and before[-1] != (own[-1] if own else False))
    if met.exists():
        assert "had not said the same" in client.get("/account/erase").content.decode()


def test_the_database_keeps_answers_as_they_are(alice: User, bob: User, alices: Actor) -> None:
    consent_answer(actor=alices, kind=Kind.CHATS, is_given=True)
    for change in ({"is_given": False}, {"kind": Kind.BATTLES}, {"user": bob}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Consent.objects.update(**change)
    assert said(alices) == [("chats", True)]


def test_an_erasure_takes_the_answers_too(alice: User, alices: Actor, bob: User, visitor: UUID) -> None:
    visitors, bobs = Actor(visitor_public_id=visitor), Actor(user_id=bob.pk)
    for actor in (alices, visitors, bobs):
        consent_answer(actor=actor, kind=Kind.CHATS, is_given=True)
    request = erasure_ask(user=alice, visitor_public_id=visitor)
    assert allowed(alices) == allowed(visitors) == set()
    assert carried_out(request).state == ErasureState.ERASED
    assert list(Consent.objects.values_list("user", flat=True)) == [bob.pk]


def test_nothing_is_taken_of_somebody_whose_erasure_waits_for_a_hold(
    alice: User, alices: Actor, admin_user: User
) -> None:
    consent_answer(actor=alices, kind=Kind.CHATS, is_given=True)
    held(HeldKind.USER, alice, admin_user)
    assert carried_out(erasure_ask(user=alice, visitor_public_id=None)).state == ErasureState.HELD
    assert allowed(alices) == set()
    assert said(alices) == [("chats", True), ("chats", False)]
    assert Consent.objects.first().how == How.ERASURE  # type: ignore[union-attr]  # there are two


def test_whoever_asks_again_takes_back_what_they_agreed_to_in_between(admin_user: User, visitor: UUID) -> None:
    visitors = Actor(visitor_public_id=visitor)
    consent_answer(actor=visitors, kind=Kind.CHATS, is_given=True)
    held(HeldKind.VISITOR, Visitor.objects.get(public_id=visitor), admin_user)
    assert carried_out(erasure_ask(user=None, visitor_public_id=visitor)).state == ErasureState.HELD
    consent_answer(actor=visitors, kind=Kind.CHATS, is_given=True)
    erasure_ask(user=None, visitor_public_id=visitor)
    assert allowed(visitors) == set()
    assert Consent.objects.first().how == How.ERASURE  # type: ignore[union-attr]  # there are four


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", [[], [True, False]])
@pytest.mark.parametrize("has_account", [True, False])
def test_who_withdraws_while_a_yes_of_theirs_is_stored_has_not_agreed(
    alices: Actor, visitor: UUID, has_account: bool, before: list[bool]
) -> None:
    actor = alices if has_account else Actor(visitor_public_id=visitor)
    for is_given in before:
        consent_answer(actor=actor, kind=Kind.CHATS, is_given=is_given)
    with transaction.atomic():
        consent_answer(actor=actor, kind=Kind.CHATS, is_given=True)
        other = in_background(lambda: consents_withdraw(actor, How.ERASURE))
        wait_until(lambda: is_somebody_waiting_for_a_lock() or not other.is_alive(), what="the other to wait")
    other.join()
    assert allowed(actor) == set()
    assert said(actor)[-2:] == [("chats", True), ("chats", False)]
