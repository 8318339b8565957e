"""The tree of messages: said differently, answered again, gone on with, switched, forked."""

from functools import partial
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.accounts import ledger
from apps.accounts.actors import Actor
from apps.accounts.ledger import CallOpening
from apps.accounts.models import CallState, LedgerEntry, User
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import (
    AnswerRunning,
    ChatNotFound,
    EmptyMessage,
    NothingToAnswer,
    NothingToContinue,
    SignInRequired,
)
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.conversations import conversation_get, path_list
from apps.conversations.selectors.pages import messages_shown
from apps.conversations.selectors.reading import call_body, prompt_messages
from apps.conversations.selectors.tree import Siblings, siblings_get
from apps.conversations.services.branches import branch_show, conversation_fork
from apps.conversations.services.conversations import conversation_rename
from apps.conversations.services.generations import generation_finish
from apps.conversations.services.settings import conversation_configure
from apps.conversations.services.turns import Turn, turn_continue, turn_edit, turn_regenerate, turn_start
from tests.conversations.conftest import MODEL, Opens, until_hints_are_heard
from tests.conversations.test_services import COMPLETE, answered, start
from tests.fake_worker import Fail, FakeWorker, Gate

STOPPED = Outcome(GenerationState.STOPPED)


def words(actor: Actor, conversation: Conversation) -> list[str]:
    return [message.content for message in path_list(conversation_get(actor, conversation.public_id))]


def edited(actor: Actor, turn: Turn, text: str, answer: str = "Well.") -> Turn:
    assert turn.user_message is not None
    new = turn_edit(
        actor=actor,
        conversation_id=turn.conversation.public_id,
        message_id=turn.user_message.public_id,
        model_name=MODEL,
        text=text,
    )
    assert generation_finish(new.generation.public_id, COMPLETE, answer)
    return new


def stopped(actor: Actor, text: str = "Count", answer: str = "One, two") -> Turn:
    turn = start(actor, text)
    assert generation_finish(turn.generation.public_id, STOPPED, answer)
    return turn


# --- Said differently -------------------------------------------------------------------------------------------------


def test_an_edited_message_is_a_sibling_and_its_branch_is_shown(alices: Actor, model: LanguageModel) -> None:
    first = answered(alices, "One", answer="Yes.")
    second = answered(alices, "Two", first.conversation, answer="No.")
    answered(alices, "Three", first.conversation)

    new = edited(alices, second, "Two, but better")

    assert words(alices, first.conversation) == ["One", "Yes.", "Two, but better", "Well."]
    assert Message.objects.count() == 8
    assert second.user_message is not None
    assert new.user_message is not None
    expected = Siblings(index=2, count=2, previous=second.user_message.public_id, next=None)
    assert siblings_get(new.user_message) == expected
    prompt = prompt_messages(first.conversation.pk, before=new.generation.public_id)
    assert [m["content"] for m in prompt] == ["One", "Yes.", "Two, but better"]


def test_the_first_message_of_all_can_be_edited(alices: Actor, model: LanguageModel) -> None:
    first = answered(alices, "One")
    edited(alices, first, "Uno")
    assert words(alices, first.conversation) == ["Uno", "Well."]
    shown = messages_shown(conversation_get(alices, first.conversation.public_id))
    assert [(m.siblings.index, m.siblings.count) for m in shown] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("what", ["an answer", "a message of another chat", "nothing", "no words", "while it runs"])
def test_what_cannot_be_edited_is_refused_and_stays(alices: Actor, model: LanguageModel, what: str) -> None:
    turn, other = answered(alices, "One"), answered(alices, "Elsewhere")
    assert turn.user_message is not None
    assert other.user_message is not None
    ids = {
        "an answer": turn.assistant_message.public_id,
        "a message of another chat": other.user_message.public_id,
        "nothing": uuid4(),
    }
    if what == "while it runs":
        start(alices, "Two", turn.conversation)
    n_messages = Message.objects.count()
    error = {"no words": EmptyMessage, "while it runs": AnswerRunning}.get(what, ChatNotFound)
    with pytest.raises(error):
        turn_edit(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=ids.get(what, turn.user_message.public_id),
            model_name=MODEL,
            text=" " if what == "no words" else "x",
        )
    assert Message.objects.count() == n_messages


# --- Answered again ---------------------------------------------------------------------------------------------------


def test_an_answer_in_the_middle_is_answered_again_by_another_model(alices: Actor, model: LanguageModel) -> None:
    other = LanguageModel.objects.create(name="other")
    first = answered(alices, "One", answer="Yes.")
    answered(alices, "Two", first.conversation)

    again = turn_regenerate(
        actor=alices,
        conversation_id=first.conversation.public_id,
        message_id=first.assistant_message.public_id,
        model_name="other",
    )

    assert again.assistant_message.model == other
    assert words(alices, first.conversation) == ["One", ""]
    prompt = prompt_messages(first.conversation.pk, before=again.generation.public_id)
    assert [m["content"] for m in prompt] == ["One"]


# --- Gone on with -----------------------------------------------------------------------------------------------------


def test_the_rest_of_a_stopped_answer_is_asked_for_after_what_there_is(alices: Actor, model: LanguageModel) -> None:
    turn = stopped(alices)

    rest = turn_continue(actor=alices, conversation_id=turn.conversation.public_id)

    assert call_body(turn.conversation.pk, before=rest.generation.public_id) == {
        "messages": [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One, two"}],
        "continue_final_message": True,
    }
    assert rest.assistant_message.content == "One, two"
    assert siblings_get(rest.assistant_message).previous == turn.assistant_message.public_id


@pytest.mark.parametrize("how", ["whole", "without a word", "a question at the end"])
def test_there_is_nothing_to_go_on_with(alices: Actor, model: LanguageModel, how: str) -> None:
    turn = answered(alices) if how == "whole" else stopped(alices, answer="" if how == "without a word" else "Half")
    if how == "a question at the end":
        Conversation.objects.update(active_leaf=turn.user_message)
    with pytest.raises(NothingToContinue):
        turn_continue(actor=alices, conversation_id=turn.conversation.public_id)


@pytest.mark.parametrize(
    ("outcome", "goes_on"),
    [
        (STOPPED, True),
        (Outcome(GenerationState.FAILED, error=Failure("workers.died", "It died.", retryable=True)), True),
        (Outcome(GenerationState.COMPLETE, finish_reason="length"), True),
        (COMPLETE, False),
    ],
    ids=["stopped", "failed", "cut", "whole"],
)
def test_only_what_broke_off_goes_on(alices: Actor, model: LanguageModel, outcome: Outcome, goes_on: bool) -> None:
    turn = start(alices)
    generation_finish(turn.generation.public_id, outcome, "Half")
    assert bool(Generation.objects.get().end) is goes_on


def test_a_rest_that_was_never_asked_for_costs_nothing(alice: User, alices: Actor, model: LanguageModel) -> None:
    turn = stopped(alices)
    rest = turn_continue(actor=alices, conversation_id=turn.conversation.public_id)
    opening = CallOpening(alices, MODEL, "/v1/chat/completions", generation_id=rest.generation.public_id)
    ledger.call_reserve(opening, [], None)
    generation_finish(rest.generation.public_id, STOPPED, "One, two")
    assert [entry.state for entry in LedgerEntry.objects.all()] == [CallState.STOPPED]


async def test_the_rest_is_written_behind_what_there_was(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("One, ", "two", Fail())
    worker.play(", three", ".")
    async with opens(alice) as page:
        accepted = await page.ask("Count")
        assert (await page.until_end(accepted["generation"])).state == "failed"
        conversation = accepted["conversation"]["id"]
        await page.send({"type": "turn.continue", "ref": "r", "conversation": conversation})
        rest = await page.until("turn.accepted")
        answer = await page.until_end(rest["generation"])
    assert rest["user_message"] is None
    assert rest["assistant_message"]["siblings"]["count"] == 2
    assert (answer.state, answer.html) == ("complete", "<p>One, two, three.</p>\n")
    assert worker.requests[-1]["messages"][-1] == {"role": "assistant", "content": "One, two"}
    assert worker.requests[-1]["continue_final_message"] is True


async def test_a_page_that_comes_late_to_a_rest_sees_all_of_it_once(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play("One, two", Fail())
    worker.play(", three", gate, ", four")
    async with opens(alice) as page, opens(alice) as late:
        accepted = await page.ask("Count")
        await page.until_end(accepted["generation"])
        await page.send({"type": "turn.continue", "ref": "r", "conversation": accepted["conversation"]["id"]})
        rest = (await page.until("turn.accepted"))["generation"]
        await page.until_shown(rest, "three")
        await late.attach(rest)
        await late.until_shown(rest, "One, two, three")
        gate.open()
        assert (await late.until_end(rest)).html == "<p>One, two, three, four</p>\n"


# --- Switched ---------------------------------------------------------------------------------------------------------


def test_switching_shows_the_branch_down_to_what_was_written_last(alices: Actor, model: LanguageModel) -> None:
    first = answered(alices, "One", answer="Yes.")
    answered(alices, "Two", first.conversation, answer="Old end")
    edited(alices, first, "Uno")
    assert first.user_message is not None

    branch_show(actor=alices, conversation_id=first.conversation.public_id, message_id=first.user_message.public_id)

    assert words(alices, first.conversation) == ["One", "Yes.", "Two", "Old end"]
    answered(alices, "Three", conversation_get(alices, first.conversation.public_id))
    assert words(alices, first.conversation)[-2:] == ["Three", "Yes."]


def test_branches_are_not_switched_under_a_running_answer(alices: Actor, model: LanguageModel) -> None:
    turn = answered(alices)
    start(alices, "Two", turn.conversation)
    with pytest.raises(AnswerRunning):
        branch_show(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=turn.assistant_message.public_id,
        )


def test_a_large_tree_is_shown_in_two_queries(
    alices: Actor, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    turn = answered(alices, "One")
    for n in range(6):
        edited(alices, turn, f"One {n}")
    conversation = conversation_get(alices, turn.conversation.public_id)
    with django_assert_num_queries(2):
        question, _ = messages_shown(conversation)
    assert (question.siblings.index, question.siblings.count, question.siblings.next) == (7, 7, None)


def test_the_door_of_branches_answers_with_the_messages_and_takes_no_nonsense(
    alice: User, alices: Actor, model: LanguageModel
) -> None:
    client = Client()
    client.force_login(alice)
    turn = answered(alices, "The first")
    edited(alices, turn, "The second")
    url = f"/chat/{turn.conversation.public_id}"
    assert turn.user_message is not None

    shown = client.post(f"{url}/branch", {"message": str(turn.user_message.public_id)}).content.decode()

    assert "The first" in shown
    assert "The second" not in shown
    assert "1/2" in shown
    assert client.get(f"{url}/messages").content.decode() == shown
    assert client.post(f"{url}/branch", {"message": "12"}).status_code == 404
    assert client.post(f"{url}/branch").status_code == 404
    text = client.get(f"{url}/messages/{turn.user_message.public_id}/text")
    assert (text.content, text["Content-Type"]) == (b"The first", "text/plain; charset=utf-8")


async def test_other_tabs_hear_which_message_is_the_last(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page, opens(alice) as other:
        await until_hints_are_heard()
        accepted = await page.ask("First")
        await page.until_end(accepted["generation"])
        for _ in ("begun", "ended"):
            assert (await other.until("conversation.changed"))["leaf"] == accepted["assistant_message"]["id"]
        again = await page.ask("Second", conversation=accepted["conversation"]["id"])
        await page.until_end(again["generation"])
        for _ in ("begun", "ended"):
            assert (await other.until("conversation.changed"))["leaf"] == again["assistant_message"]["id"]
        await other.send({"type": "conversation.look", "conversation": accepted["conversation"]["id"]})
        assert (await other.until("conversation.changed"))["leaf"] == again["assistant_message"]["id"]


# --- Forked -----------------------------------------------------------------------------------------------------------


def test_a_fork_takes_the_path_along_and_leaves_the_chat_alone(
    alice: User, alices: Actor, model: LanguageModel
) -> None:
    first = answered(alices, "One", answer="Yes.")
    answered(alices, "Two", first.conversation)
    edited(alices, first, "Uno")
    before = words(alices, first.conversation)
    client = Client()
    client.force_login(alice)

    response = client.post(
        f"/chat/{first.conversation.public_id}/fork",
        {"message": str(first.assistant_message.public_id)},
        headers={"Accept": "application/json"},
    )

    fork = Conversation.objects.exclude(pk=first.conversation.pk).get()
    assert response.json() == {"url": f"/chat/{fork.public_id}"}
    assert fork.title == "One"
    assert words(alices, fork) == ["One", "Yes."]
    assert [m.model for m in path_list(fork)] == [None, model]
    assert words(alices, first.conversation) == before
    turn = answered(alices, "And now?", fork)
    prompt = prompt_messages(fork.pk, before=turn.generation.public_id)
    assert [m["content"] for m in prompt] == ["One", "Yes.", "And now?"]
    assert client.get(f"/chat/{fork.public_id}").status_code == 200


def test_a_long_path_is_forked_in_few_queries(
    alices: Actor, model: LanguageModel, rules_loaded: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    turn = answered(alices, "0")
    for n in range(1, 20):
        turn = answered(alices, str(n), turn.conversation)
    with django_assert_max_num_queries(14):
        fork = conversation_fork(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=turn.assistant_message.public_id,
        )
    assert words(alices, fork) == words(alices, turn.conversation)


def test_an_unfinished_answer_cannot_be_forked(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices)
    with pytest.raises(AnswerRunning):
        conversation_fork(
            actor=alices,
            conversation_id=turn.conversation.public_id,
            message_id=turn.assistant_message.public_id,
        )


@pytest.mark.parametrize("service", [branch_show, conversation_fork, turn_edit, turn_continue])
def test_charlie_changes_no_tree_of_alices(
    alices: Actor, charlies: Actor, model: LanguageModel, service: object
) -> None:
    turn = stopped(alices)
    assert turn.user_message is not None
    arguments: dict[str, object] = {"actor": charlies, "conversation_id": turn.conversation.public_id}
    if service is not turn_continue:
        arguments["message_id"] = turn.user_message.public_id
    if service is turn_edit:
        arguments |= {"model_name": MODEL, "text": "x"}
    with pytest.raises(ChatNotFound):
        service(**arguments)  # type: ignore[operator]
    assert Message.objects.count() == 2


def test_a_message_is_said_to_what_its_sender_sees(alices: Actor, model: LanguageModel) -> None:
    first = answered(alices, "One", answer="Yes.")
    seen = first.assistant_message.public_id
    answered(alices, "Said in another tab", first.conversation)
    turn = turn_start(
        actor=alices, conversation_id=first.conversation.public_id, model_name=MODEL, text="Two", leaf_id=seen
    )
    assert words(alices, first.conversation) == ["One", "Yes.", "Two", ""]
    assert turn.user_message is not None
    assert siblings_get(turn.user_message).count == 2


def test_a_message_is_said_to_none_of_another_chat(alices: Actor, charlies: Actor, model: LanguageModel) -> None:
    mine, strangers = answered(alices, "One"), answered(charlies, "Elsewhere")
    for leaf in (strangers.assistant_message.public_id, uuid4()):
        with pytest.raises(ChatNotFound):
            turn_start(
                actor=alices, conversation_id=mine.conversation.public_id, model_name=MODEL, text="x", leaf_id=leaf
            )
    assert Message.objects.filter(content="x").count() == 0


def test_the_answer_that_its_reader_sees_is_gone_on_with(alices: Actor, model: LanguageModel) -> None:
    turn = stopped(alices)
    assert turn.user_message is not None
    edited(alices, turn, "Said in another tab")
    rest = turn_continue(
        actor=alices,
        conversation_id=turn.conversation.public_id,
        message_id=turn.assistant_message.public_id,
    )
    assert words(alices, turn.conversation) == ["Count", "One, two"]
    assert rest.assistant_message.parent == turn.user_message


async def test_a_frame_says_what_the_page_shows(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        first = await page.ask("One")
        await page.until_end(first["generation"])
        conversation = first["conversation"]["id"]
        await page.until_end((await page.ask("Two", conversation=conversation))["generation"])
        send = {"type": "turn.send", "ref": "r", "conversation": conversation, "model": MODEL, "text": "Three"}
        await page.send(send | {"leaf": first["assistant_message"]["id"]})
        accepted = await page.until("turn.accepted")
        await page.until_end(accepted["generation"])
    assert accepted["user_message"]["siblings"]["count"] == 2
    assert [m["content"] for m in worker.requests[-1]["messages"] if m["role"] == "user"] == ["One", "Three"]


def test_of_answers_that_follow_each_other_the_question_before_them_is_asked_again(
    alices: Actor, model: LanguageModel
) -> None:
    turn = answered(alices, "One", answer="Yes.")
    chat = turn.conversation
    more = Message.objects.create(conversation=chat, parent=turn.assistant_message, role="assistant", content="More.")
    again = turn_regenerate(actor=alices, conversation_id=chat.public_id, message_id=more.public_id, model_name=MODEL)
    assert again.assistant_message.parent == turn.user_message
    generation_finish(again.generation.public_id, COMPLETE, "No.")
    alone = Message.objects.create(conversation=chat, role="assistant", content="Hello, I am here.")
    with pytest.raises(NothingToAnswer):
        turn_regenerate(actor=alices, conversation_id=chat.public_id, message_id=alone.public_id, model_name=MODEL)


def test_whoever_may_not_chat_changes_no_chat(alice: User, alices: Actor, model: LanguageModel) -> None:
    turn = answered(alices, "One")
    chat_id = turn.conversation.public_id
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for change in (
        partial(branch_show, message_id=turn.assistant_message.public_id),
        partial(conversation_rename, title="New"),
        partial(conversation_configure, settings=ChatSettings("New")),
    ):
        with pytest.raises(SignInRequired):
            change(actor=alices, conversation_id=chat_id)
