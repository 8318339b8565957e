"""Rules of turns and conversations, also when two people press at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.signals import user_logged_in
from django.db import IntegrityError, connection, transaction
from django.test import AsyncClient, Client

from apps.accounts import ledger
from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.ledger import CallOpening
from apps.accounts.models import CallState, LedgerEntry, User
from apps.catalog.models import LanguageModel
from apps.conversations.errors import AnswerRunning, ChatNotFound, EmptyMessage, MessageTooLong, TitleEmpty
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.reading import prompt_messages
from apps.conversations.selectors.search import chats_search
from apps.conversations.services import keeping
from apps.conversations.services.conversations import conversation_delete, conversation_rename
from apps.conversations.services.generations import generation_claim, generation_finish, generation_keep
from apps.conversations.services.keeping import Change, conversations_change
from apps.conversations.services.turns import Turn, turn_regenerate, turn_start
from apps.core.errors import SiteError
from apps.core.threads import in_thread
from tests.conversations.conftest import Opens, until_hints_are_heard

MODEL = "scripted"
COMPLETE = Outcome(GenerationState.COMPLETE, finish_reason="stop")


def start(actor: Actor, text: str = "Hi", conversation: Conversation | None = None) -> Turn:
    conversation_id = conversation.public_id if conversation else None
    return turn_start(actor=actor, conversation_id=conversation_id, model_name=MODEL, text=text)


def answered(actor: Actor, text: str = "Hi", conversation: Conversation | None = None, answer: str = "Yes.") -> Turn:
    turn = start(actor, text, conversation)
    assert generation_finish(turn.generation.public_id, COMPLETE, answer)
    return turn


def at_once(*calls: Callable[[], object]) -> Iterator[object]:
    """Run the calls in threads that start together; yield what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            barrier.wait()
            return call()
        except SiteError as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        yield from pool.map(run, calls)


# --- Turns ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["two questions", "a question and a new answer"])
def test_of_two_turns_at_once_exactly_one_is_stored(alices: Actor, model: LanguageModel, how: str) -> None:
    conversation = answered(alices).conversation

    def regenerate() -> Turn:
        return turn_regenerate(actor=alices, conversation_id=conversation.public_id, model_name=None)

    def ask() -> Turn:
        return start(alices, "Again", conversation)

    for _ in range(5):
        results = list(at_once(ask, ask if how == "two questions" else regenerate))
        turns = [result for result in results if isinstance(result, Turn)]
        assert len(turns) == 1
        assert [type(result) for result in results if result not in turns] == [AnswerRunning]
        generation_finish(turns[0].generation.public_id, COMPLETE, "Yes.")


@pytest.mark.parametrize(
    ("text", "error"),
    [("", EmptyMessage), (" \n\t", EmptyMessage), ("\0", EmptyMessage), ("x" * 100_001, MessageTooLong)],
    ids=["nothing", "white space", "nul", "too long"],
)
def test_a_text_that_is_no_message_is_refused_and_nothing_is_stored(
    alices: Actor, model: LanguageModel, text: str, error: type[SiteError]
) -> None:
    with pytest.raises(error) as caught:
        start(alices, text)
    assert caught.value.message
    assert not Conversation.objects.exists()


def test_the_database_itself_forbids_two_unfinished_answers(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices)
    other = Message.objects.create(conversation=turn.conversation, role="assistant")
    with pytest.raises(IntegrityError, match="generation_one_unfinished_per_column"):
        Generation.objects.create(conversation=turn.conversation, message=other)


def test_an_end_is_written_once(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices)
    failure = Outcome(GenerationState.FAILED, error=Failure("workers.died", "It died.", retryable=True))
    assert generation_finish(turn.generation.public_id, COMPLETE, "All of it.")
    assert not generation_finish(turn.generation.public_id, failure, "Half")
    turn.generation.refresh_from_db()
    turn.assistant_message.refresh_from_db()
    assert (turn.generation.state, turn.generation.error_code) == ("complete", "")
    assert turn.assistant_message.content == "All of it."


@pytest.mark.django_db(transaction=True)
def test_of_two_ends_at_once_one_is_written_and_the_text_is_its(alices: Actor, model: LanguageModel) -> None:
    stopped = Outcome(GenerationState.STOPPED)
    for _ in range(5):
        turn = start(alices)
        generation_id = turn.generation.public_id
        results = list(
            at_once(
                lambda: generation_finish(generation_id, COMPLETE, "whole"),  # noqa: B023
                lambda: generation_finish(generation_id, stopped, "half"),  # noqa: B023
            )
        )
        assert sorted(map(bool, results)) == [False, True]
        turn.generation.refresh_from_db()
        turn.assistant_message.refresh_from_db()
        texts = {"complete": "whole", "stopped": "half"}
        assert turn.assistant_message.content == texts[turn.generation.state]


def test_a_conversation_without_messages_has_nothing_to_answer_again(alices: Actor, model: LanguageModel) -> None:
    conversation = answered(alices).conversation
    conversation.messages.all().delete()
    with pytest.raises(ChatNotFound):
        turn_regenerate(actor=alices, conversation_id=conversation.public_id, model_name=None)


def test_the_prompt_follows_the_branch_that_is_shown(alices: Actor, model: LanguageModel) -> None:
    conversation = answered(alices, "One", answer="Old").conversation
    again = turn_regenerate(actor=alices, conversation_id=conversation.public_id, model_name=None)
    generation_finish(again.generation.public_id, COMPLETE, "New")
    turn = start(alices, "Two", conversation)
    prompt = prompt_messages(conversation.pk, before=turn.generation.public_id)
    assert [m["content"] for m in prompt] == ["One", "New", "Two"]


# --- Conversations --------------------------------------------------------------------------------------------------


def test_renaming_cleans_and_cuts_the_title(alices: Actor, model: LanguageModel) -> None:
    conversation = start(alices).conversation
    renamed = conversation_rename(actor=alices, conversation_id=conversation.public_id, title=" a\0b \n c " + "x" * 300)
    conversation.refresh_from_db()
    assert conversation.title == renamed.title
    assert conversation.title.startswith("ab c xxx")
    assert len(conversation.title) == 200


@pytest.mark.parametrize("title", ["", "  \n", "\0"])
def test_a_title_without_words_is_refused(alices: Actor, model: LanguageModel, title: str) -> None:
    conversation = start(alices).conversation
    with pytest.raises(TitleEmpty):
        conversation_rename(actor=alices, conversation_id=conversation.public_id, title=title)


def test_deleting_takes_everything_with_it(alices: Actor, model: LanguageModel) -> None:
    conversation = answered(alices).conversation
    conversation_delete(actor=alices, conversation_id=conversation.public_id)
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert not Generation.objects.exists()


@pytest.mark.parametrize("service", [conversation_delete, conversation_rename])
def test_charlie_can_neither_rename_nor_delete(
    alices: Actor, charlies: Actor, model: LanguageModel, service: Callable[..., object]
) -> None:
    conversation = start(alices).conversation
    extra = {"title": "mine"} if service is conversation_rename else {}
    with pytest.raises(ChatNotFound):
        service(actor=charlies, conversation_id=conversation.public_id, **extra)
    assert conversation_get(alices, conversation.public_id).title == "Hi"


# --- From visitor to account ----------------------------------------------------------------------------------------


def test_signing_in_adopts_what_the_visitor_said(alice: User, visitor: UUID, model: LanguageModel) -> None:
    mine = start(Actor(visitor_public_id=visitor)).conversation
    other = start(Actor(visitor_public_id=uuid4())).conversation
    client = Client()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    response = client.post("/accounts/login/", {"login": "alice", "password": "correct horse"})
    assert response.status_code == 302
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.user, mine.visitor) == (alice, None)
    assert other.user is None


def test_signing_up_adopts_what_the_visitor_said(visitor: UUID, model: LanguageModel) -> None:
    mine = start(Actor(visitor_public_id=visitor)).conversation
    client = Client()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(visitor)
    form = {"username": "dora", "email": "", "password1": "a long enough one", "password2": "a long enough one"}
    response = client.post("/accounts/signup/", form)
    assert response.status_code == 302, response.content
    mine.refresh_from_db()
    assert mine.user == User.objects.get(username="dora")


def test_a_sign_in_without_a_request_or_cookie_adopts_nothing(alice: User, visitor: UUID, model: LanguageModel) -> None:
    conversation = start(Actor(visitor_public_id=visitor)).conversation
    user_logged_in.send(sender=User, request=None, user=alice)
    Client().post("/accounts/login/", {"login": "alice", "password": "correct horse"})
    conversation.refresh_from_db()
    assert conversation.user is None


def test_an_answer_whose_use_nobody_heard_of_is_settled_with_its_end(model: LanguageModel, alice: User) -> None:
    turns = [start(Actor(user_id=alice.pk)) for _ in range(3)]
    for turn in turns:
        opening = CallOpening(
            Actor(user_id=alice.pk), MODEL, "/v1/chat/completions", generation_id=turn.generation.public_id
        )
        ledger.call_reserve(opening, [], None)
    heard = Outcome(GenerationState.COMPLETE, prompt_tokens=3, completion_tokens=4)

    generation_finish(turns[0].generation.public_id, Outcome(GenerationState.FAILED), "Ye")
    generation_finish(turns[1].generation.public_id, heard, "Yes.")
    assert ledger.generation_adopt(turns[0].generation.public_id) is None
    assert [entry.state for entry in LedgerEntry.objects.all()] == [CallState.LOST]
    assert ledger.generation_adopt(turns[1].generation.public_id) is not None  # by whoever heard its usage
    generation_finish(turns[2].generation.public_id, Outcome(GenerationState.STOPPED), "")  # no worker was asked
    assert [entry.state for entry in LedgerEntry.objects.order_by("pk")] == [CallState.LOST, CallState.STOPPED]


def test_of_a_turn_and_an_end_at_once_nothing_is_left(
    transactional_db: None, alices: Actor, model: LanguageModel
) -> None:
    for _ in range(5):
        chat = answered(alices).conversation
        said, _ended = at_once(
            partial(start, alices, "More", chat),
            partial(conversation_delete, actor=alices, conversation_id=chat.public_id),
        )
        assert isinstance(said, Turn | ChatNotFound)
        assert not Conversation.objects.exists()
        assert not Generation.objects.exists()


def test_of_chats_to_be_deleted_those_that_are_gone_are_passed_over(
    alices: Actor, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = answered(alices, "One").conversation, answered(alices, "Two").conversation

    def quicker(*, actor: Actor, conversation_id: UUID) -> None:
        Conversation.objects.filter(pk=first.pk).delete()
        conversation_delete(actor=actor, conversation_id=conversation_id)

    monkeypatch.setattr(keeping, "conversation_delete", quicker)
    deleted = conversations_change(
        actor=alices, conversation_ids=[first.public_id, second.public_id], change=Change.DELETE
    )
    assert deleted == [second.public_id]
    assert not Conversation.objects.exists()


async def test_other_tabs_hear_of_a_chat_that_is_deleted(
    opens: Opens, alice: User, alices: Actor, model: LanguageModel
) -> None:
    chats = [(await in_thread(answered, alices, text)).conversation for text in ("One", "Two")]
    client = AsyncClient()
    await client.aforce_login(alice)
    async with opens(alice) as page:
        await until_hints_are_heard()
        await client.post(f"/chat/{chats[0].public_id}/delete")
        assert (await page.until("conversation.changed"))["conversation"] == str(chats[0].public_id)
        await client.post("/chats/change", {"change": "delete", "chat": str(chats[1].public_id)})
        assert (await page.until("conversation.changed"))["conversation"] == str(chats[1].public_id)


def test_a_message_follows_none_that_is_younger(alices: Actor, model: LanguageModel) -> None:
    turn = answered(alices)
    assert turn.user_message is not None
    for parent in (turn.assistant_message, turn.user_message):
        with pytest.raises(IntegrityError, match="message_after_its_parent"), transaction.atomic():
            Message.objects.filter(pk=turn.user_message.pk).update(parent=parent)


def test_the_words_of_an_answer_are_indexed_once_it_is_whole(alices: Actor, model: LanguageModel) -> None:
    turn = start(alices, "A question")
    reader = uuid4()
    assert generation_claim(turn.generation.public_id, reader)
    generation_keep(turn.generation.public_id, reader, text="A fox", ttft_ms=None)
    assert chats_search(alices, "fox") == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'message_words'")
        (definition,) = cursor.fetchone() or ("",)
    assert "WHERE is_whole" in definition
    generation_finish(turn.generation.public_id, COMPLETE, "A fox.")
    assert [hit.snippet.found for hit in chats_search(alices, "fox") if hit.snippet] == ["fox"]
