"""Pages over HTTP."""

import json
import re
from http.cookies import Morsel
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from pytest_django import Settings

from apps.accounts.actors import VISITOR_COOKIE, Actor, actor_get
from apps.accounts.models import User, Visitor
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation
from apps.conversations.services.turns import Turn
from apps.conversations.tasks import generations_recover_task
from tests.conversations.test_services import answered, start


@pytest.fixture
def alices_client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def turn(alices: Actor, model: LanguageModel) -> Turn:
    return answered(alices, "A question", answer="An *answer*")


def page_data(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="[^"]*" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_home_page_leads_to_the_chat(client: Client) -> None:
    assert client.get("/")["Location"] == "/chat"


def test_a_new_visitor_gets_a_cookie_and_no_row(client: Client, model: LanguageModel) -> None:
    response = client.get("/chat", secure=True)
    assert response.status_code == 200
    cookie: Morsel[str] = response.cookies[VISITOR_COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)
    known = actor_get(None, {VISITOR_COOKIE: cookie.value})
    assert known.visitor_public_id is not None
    assert not Visitor.objects.exists()
    again = client.get("/chat", secure=True)
    assert VISITOR_COOKIE not in again.cookies
    assert "no-store" in again["Cache-Control"]


def test_over_plain_http_the_visitors_cookie_still_arrives(client: Client, model: LanguageModel) -> None:
    assert client.get("/chat").cookies[VISITOR_COOKIE]["secure"] == ""


def test_a_user_needs_no_visitor_cookie(alices_client: Client, model: LanguageModel) -> None:
    assert VISITOR_COOKIE not in alices_client.get("/chat").cookies


def test_where_visitors_may_not_chat_they_are_led_to_sign_in(
    client: Client, model: LanguageModel, settings: Settings
) -> None:
    settings.VISITORS_MAY_CHAT = False
    response = client.get("/chat")
    assert response["Location"] == "/accounts/login/?next=/chat"


def test_a_conversation_shows_its_messages_and_tells_the_script_what_runs(
    alices_client: Client, alices: Actor, turn: Turn
) -> None:
    url = f"/chat/{turn.conversation.public_id}"
    html = alices_client.get(url).content.decode()
    assert "A question" in html
    assert "<em>answer</em>" in html
    assert page_data(html)["generation"] is None
    running = start(alices, "Another", turn.conversation)
    data = page_data(alices_client.get(url).content.decode())
    assert UUID(data["generation"]) == running.generation.public_id
    assert UUID(data["conversation"]) == turn.conversation.public_id
    assert data["socket_path"] == "/ws/chat"
    assert data["limits"]["message_max_chars"] == 100_000


def test_the_models_are_offered_with_their_state(client: Client, model: LanguageModel) -> None:
    (offered,) = client.get("/chat/models").json()["models"]
    assert offered["name"] == "scripted"
    assert offered["state"] == "unavailable"
    assert offered["is_default"] is True


def test_renaming_answers_a_script_and_a_form(alices_client: Client, turn: Turn) -> None:
    url = f"/chat/{turn.conversation.public_id}/rename"
    assert alices_client.post(url, {"title": "One"}, headers={"Accept": "application/json"}).status_code == 204
    assert Conversation.objects.get().title == "One"
    assert alices_client.post(url, {"title": "Two"})["Location"] == f"/chat/{turn.conversation.public_id}"
    assert Conversation.objects.get().title == "Two"


def test_an_empty_title_is_refused_in_words(alices_client: Client, turn: Turn) -> None:
    url = f"/chat/{turn.conversation.public_id}/rename"
    response = alices_client.post(url, {"title": " "}, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "chat.title_empty")
    assert "title" in alices_client.post(url, {"title": " "}).content.decode()


def test_deleting_answers_a_script_and_a_form(alices_client: Client, alices: Actor, turn: Turn) -> None:
    url = f"/chat/{turn.conversation.public_id}/delete"
    assert alices_client.post(url, headers={"Accept": "application/json"}).status_code == 204
    assert alices_client.post(url).status_code == 404
    other = answered(alices)
    assert alices_client.post(f"/chat/{other.conversation.public_id}/delete")["Location"] == "/chat"
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("path", ["rename", "delete"])
def test_a_change_needs_a_post_with_a_token(alice: User, turn: Turn, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    url = f"/chat/{turn.conversation.public_id}/{path}"
    assert client.get(url).status_code == 405
    assert client.post(url, {"title": "x"}).status_code == 403
    assert Conversation.objects.get().title == "A question"


def test_the_admins_lists_show_no_text_and_opening_a_conversation_is_logged(turn: Turn) -> None:
    admin = User.objects.create_superuser("root", "root@example.org", "an admin's own")
    client = Client()
    client.force_login(admin)
    for page in ("conversation", "generation"):
        response = client.get(f"/admin/conversations/{page}/")
        assert response.status_code == 200
        assert b"question" not in response.content
        assert b"answer" not in response.content.lower().replace(b"answers", b"")
    opened = client.get(f"/admin/conversations/conversation/{turn.conversation.pk}/change/")
    assert b"A question" in opened.content
    (entry,) = admin.logentry_set.all()
    assert "Opened" in entry.change_message
    assert "question" not in entry.object_repr
    assert client.get(f"/admin/conversations/generation/{turn.generation.pk}/change/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_recovery_task_runs_outside_of_any_event_loop() -> None:
    assert generations_recover_task() == 0
