"""A turn over the socket: asked, accepted, streamed, stored; asked again; and what the worker is told."""

from uuid import UUID

from pytest_django import Settings

from apps.accounts.models import User, Visitor
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.selectors.conversations import path_list
from apps.core.threads import in_thread
from tests.conversations.conftest import Opens, until_hints_are_heard
from tests.fake_worker import PROMPT_TOKENS, Fail, FakeWorker, Gate


async def test_a_turn_is_streamed_to_the_page_and_stored(opens: Opens, alice: User, worker: FakeWorker) -> None:
    script = worker.play("# Title\n", "\nSome *words*", " and more.")
    async with opens(alice) as page:
        accepted = await page.ask("Hi there")
        answer = await page.until_end(accepted["generation"])

    assert answer.state == "complete"
    assert "<em>words</em> and more." in answer.html
    assert answer.end is not None
    assert answer.end["usage"] == {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 3}
    assert answer.end["finish_reason"] == "stop"
    assert answer.end["error"] is None
    generation = await in_thread(Generation.objects.select_related("message").get)
    assert generation.message.content == script.text
    assert generation.state == GenerationState.COMPLETE
    assert generation.completion_tokens == 3
    assert generation.worker_id is not None
    assert generation.ttft_ms is not None
    assert worker.requests[0]["messages"] == [{"role": "user", "content": "Hi there"}]


async def test_text_is_shown_while_the_worker_still_writes(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play("first", gate, " second")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        answer = await page.until_shown(generation, "first")
        assert "second" not in answer.tail
        gate.open()
        answer = await page.until_end(generation)
    assert "first second" in answer.html


async def test_accepted_names_both_rows_and_the_new_conversation(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        accepted = await page.ask("What is <b>this</b>?\nA second line")
        await page.until_end(accepted["generation"])
    conversation = await in_thread(Conversation.objects.get)
    question, answer = await in_thread(path_list, conversation)
    url = f"/chat/{conversation.public_id}"
    assert accepted["conversation"] == {
        "id": str(conversation.public_id),
        "title": "What is <b>this</b>?",
        "url": url,
    }
    assert accepted["user_message"]["id"] == str(question.public_id)
    assert "&lt;b&gt;" in accepted["user_message"]["html"]
    alone = {"index": 1, "count": 1, "previous": None, "next": None}
    assert accepted["assistant_message"] == {"id": str(answer.public_id), "model": "scripted", "siblings": alone}
    assert accepted["user_message"]["siblings"] == alone


async def test_the_next_turn_carries_the_conversation(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("One.")
    async with opens(alice) as page:
        accepted = await page.ask("First")
        await page.until_end(accepted["generation"])
        accepted = await page.ask("Second", conversation=accepted["conversation"]["id"])
        await page.until_end(accepted["generation"])
    assert worker.requests[1]["messages"] == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Second"},
    ]


async def test_after_a_failed_answer_the_sides_still_take_turns(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play(Fail())
    async with opens(alice) as page:
        accepted = await page.ask("First")
        assert (await page.until_end(accepted["generation"])).state == "failed"
        accepted = await page.ask("Second", conversation=accepted["conversation"]["id"])
        assert (await page.until_end(accepted["generation"])).state == "complete"
    assert worker.requests[-1]["messages"] == [{"role": "user", "content": "First\n\nSecond"}]


async def test_regenerating_adds_a_sibling_and_shows_it(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("Old.")
    worker.play("New.")
    async with opens(alice) as page:
        accepted = await page.ask("Say something")
        await page.until_end(accepted["generation"])
        conversation_id = accepted["conversation"]["id"]
        await page.send({"type": "turn.regenerate", "ref": "r", "conversation": conversation_id, "model": None})
        again = await page.until("turn.accepted")
        await page.until_end(again["generation"])

    assert again["user_message"] is None
    assert worker.requests[1]["messages"] == worker.requests[0]["messages"]
    conversation = await in_thread(Conversation.objects.get)
    shown = await in_thread(path_list, conversation)
    assert [m.content for m in shown] == ["Say something", "New."]
    everything = await in_thread(lambda: set(Message.objects.values_list("content", flat=True)))
    assert everything == {"Say something", "Old.", "New."}


async def test_a_visitor_chats_and_gets_a_row_with_the_first_turn(
    opens: Opens, visitor: UUID, worker: FakeWorker
) -> None:
    async with opens(visitor) as page:
        assert not await in_thread(Visitor.objects.exists)
        accepted = await page.ask("Hi")
        await page.until_end(accepted["generation"])
    conversation = await in_thread(Conversation.objects.select_related("visitor").get)
    assert conversation.visitor is not None
    assert conversation.visitor.public_id == visitor


async def test_visitors_are_refused_where_they_may_not_chat(
    opens: Opens, visitor: UUID, worker: FakeWorker, settings: Settings
) -> None:
    settings.VISITORS_MAY_CHAT = False
    async with opens(visitor) as page:
        assert await page.refused(_send("Hi")) == "chat.sign_in_required"


async def test_somebody_without_a_cookie_has_nobody_to_own_the_answer(opens: Opens, worker: FakeWorker) -> None:
    async with opens() as page:
        assert await page.refused(_send("Hi")) == "chat.sign_in_required"


async def test_a_deactivated_user_is_refused_on_a_socket_that_was_open(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    async with opens(alice) as page:
        await in_thread(User.objects.filter(pk=alice.pk).update, is_active=False)
        assert await page.refused(_send("Hi")) == "chat.sign_in_required"


async def test_a_text_at_the_limit_is_a_message(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        accepted = await page.ask("x" * 100_000)
        await page.until_end(accepted["generation"])
    assert worker.requests[0]["messages"][0]["content"] == "x" * 100_000


async def test_bytes_that_postgres_cannot_store_are_taken_out(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("a\0b", "c\ud800d")
    async with opens(alice) as page:
        accepted = await page.ask("nul \0 and \ud83d half a pair")
        await page.until_end(accepted["generation"])
    conversation = await in_thread(Conversation.objects.get)
    question, answer = await in_thread(path_list, conversation)
    assert question.content == "nul  and \ufffd half a pair"
    assert answer.content == "abc\ufffdd"


async def test_an_unknown_model_is_refused_and_nothing_is_stored(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        assert await page.refused(_send("Hi", model="gpt-nonsense\0")) == "models.unknown"
    assert not await in_thread(Conversation.objects.exists)


async def test_other_tabs_hear_of_a_new_conversation(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page, opens(alice) as other:
        await until_hints_are_heard()
        accepted = await page.ask("A title")
        hint = await other.until("conversation.changed")
        await page.until_end(accepted["generation"])
    assert hint["conversation"] == accepted["conversation"]["id"]
    assert hint["title"] == "A title"


def _send(text: str, model: str = "scripted") -> dict[str, object]:
    return {"type": "turn.send", "ref": "r1", "conversation": None, "model": model, "text": text}
