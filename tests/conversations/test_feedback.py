"""Thumbs on answers, with a reason."""

import pytest
from django.test import Client

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.errors import FeedbackRefused
from apps.conversations.models import Feedback
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.pages import messages_shown
from apps.conversations.services.feedback import COMMENT_MAX_CHARS, feedback_give
from apps.conversations.services.turns import Turn
from tests.conversations.test_services import answered


@pytest.fixture
def turn(alices: Actor, model: LanguageModel) -> Turn:
    return answered(alices, "A question")


def url_of(turn: Turn) -> str:
    return f"/chat/{turn.conversation.public_id}/messages/{turn.assistant_message.public_id}/feedback"


def thumbs(actor: Actor, turn: Turn) -> list[str]:
    return [message.thumb for message in messages_shown(conversation_get(actor, turn.conversation.public_id))]


def test_a_thumb_is_given_changed_explained_and_taken_back(alice: User, alices: Actor, turn: Turn) -> None:
    client = Client()
    client.force_login(alice)
    url = url_of(turn)
    assert client.post(url, {"thumb": "up"}).status_code == 204
    assert thumbs(alices, turn) == ["", "up"]
    client.post(url, {"thumb": "down", "reason": "false", "comment": " It is blue.\0 "})
    feedback = Feedback.objects.get()
    assert (feedback.is_good, feedback.reason, feedback.comment) == (False, "false", "It is blue.")
    assert thumbs(alices, turn) == ["", "down"]
    page = client.get(f"/chat/{turn.conversation.public_id}").content.decode()
    assert 'data-thumb="down" aria-pressed="true"' in page
    client.post(url, {"thumb": ""})
    assert thumbs(alices, turn) == ["", ""]


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        ({"thumb": "down", "reason": "<b>"}, "chat.feedback_refused", "must be one of false, missed"),
        ({"thumb": "sideways"}, "chat.feedback_refused", "must be up, down"),
        ({"thumb": "up", "comment": "x" * (COMMENT_MAX_CHARS + 1)}, "chat.comment_too_long", "2,000"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words_and_changes_nothing(
    alice: User, turn: Turn, sent: dict[str, str], code: str, words: str
) -> None:
    client = Client()
    client.force_login(alice)
    client.post(url_of(turn), {"thumb": "down", "reason": "style"})
    error = client.post(url_of(turn), sent, headers={"Accept": "application/json"}).json()["error"]
    assert error["code"] == code
    assert words in error["message"]
    kept = Feedback.objects.get()
    assert (kept.is_good, kept.reason) == (False, "style")


def test_only_answers_get_feedback(alices: Actor, turn: Turn) -> None:
    assert turn.user_message is not None
    with pytest.raises(FeedbackRefused, match="only answers"):
        feedback_give(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=turn.user_message.public_id,
            is_good=True,
        )


def test_charlie_judges_no_answer_of_alices(charlie: User, turn: Turn) -> None:
    client = Client()
    client.force_login(charlie)
    assert client.post(url_of(turn), {"thumb": "down", "comment": "mine"}).status_code == 404
    assert not Feedback.objects.exists()


def test_the_admins_lists_of_feedback_and_links_show_no_text(alices: Actor, turn: Turn) -> None:
    feedback_give(
        actor=alices,
        conversation_id=turn.conversation.public_id,
        message_id=turn.assistant_message.public_id,
        is_good=False,
        comment="A private comment",
    )
    admin = User.objects.create_superuser("root", "root@example.org", "an admin's own")
    client = Client()
    client.force_login(admin)
    page = client.get("/admin/conversations/feedback/")
    assert page.status_code == 200
    assert b"private comment" not in page.content
    opened = client.get(f"/admin/conversations/feedback/{Feedback.objects.get().pk}/change/")
    assert b"A private comment" in opened.content
