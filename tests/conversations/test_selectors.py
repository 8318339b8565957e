"""What pages read, and with how many queries."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, GenerationState
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.conversations import conversation_get, conversations_owned
from apps.conversations.selectors.history import HISTORY_LIMIT, history_list
from apps.conversations.selectors.pages import messages_shown
from apps.conversations.services.generations import generation_finish
from tests.conversations.test_services import answered, start


@pytest.fixture
def model(db: None) -> LanguageModel:
    return LanguageModel.objects.create(name="scripted", display_name="Scripted One")


def test_a_long_conversation_is_read_in_two_queries(
    alices: Actor, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    conversation = answered(alices, "0").conversation
    for i in range(1, 10):
        answered(alices, str(i), conversation)
    conversation = conversation_get(alices, conversation.public_id)
    with django_assert_num_queries(2):
        shown = messages_shown(conversation)
    assert len(shown) == 20
    assert [m.html for m in shown if m.role == "user"] == [f"<p>{i}</p>" for i in range(10)]


def test_a_shown_answer_carries_its_model_state_and_error(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices)
    failure = Failure("workers.died", "It died.", retryable=True)
    generation_finish(turn.generation.public_id, Outcome(GenerationState.FAILED, error=failure), "**so** far")
    question, answer = messages_shown(conversation_get(alices, turn.conversation.public_id))
    assert (question.generation, question.error, question.state) == (None, None, "complete")
    assert "<strong>so</strong> far" in answer.html
    assert (answer.model_name, answer.state, answer.error) == ("Scripted One", "failed", failure)
    assert answer.generation == turn.generation.public_id


def test_the_history_is_grouped_by_age_in_one_query(
    alices: Actor, charlies: Actor, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    ages = {"today": 0, "yesterday": 1, "this week": 5, "this month": 20, "long ago": 100}
    for title, days in ages.items():
        turn = answered(alices, title)
        Conversation.objects.filter(pk=turn.conversation.pk).update(updated_at=now - timedelta(days=days))
    start(charlies, "not mine")
    running = start(alices, "running")
    with django_assert_num_queries(1):
        groups = history_list(alices, current=running.conversation.public_id)
    assert [(group.label, [item.title for item in group.items]) for group in groups] == [
        ("Today", ["running", "today"]),
        ("Yesterday", ["yesterday"]),
        ("Previous 7 days", ["this week"]),
        ("Previous 30 days", ["this month"]),
        ("Older", ["long ago"]),
    ]
    first, second = groups[0].items
    assert (first.is_running, first.is_current) == (True, True)
    assert (second.is_running, second.is_current) == (False, False)
    assert first.url == f"/chat/{running.conversation.public_id}"


def test_the_history_ends_at_its_limit(alices: Actor, alice: Any) -> None:
    Conversation.objects.bulk_create(
        Conversation(user=alice, title=str(i), updated_at=timezone.now()) for i in range(HISTORY_LIMIT + 5)
    )
    assert sum(len(group.items) for group in history_list(alices)) == HISTORY_LIMIT


def test_somebody_unknown_owns_nothing(alices: Actor, model: LanguageModel) -> None:
    start(alices)
    assert not conversations_owned(Actor()).exists()
    assert history_list(Actor()) == []
