"""A turn over the socket: asked, accepted, streamed, stored."""

from apps.accounts.models import User
from apps.conversations.models import Generation, GenerationState
from apps.conversations.threads import in_thread
from tests.conversations.conftest import Opens
from tests.fake_worker import PROMPT_TOKENS, FakeWorker, Gate


async def test_a_turn_is_streamed_to_the_page_and_stored(opens: Opens, alice: User, worker: FakeWorker) -> None:
    script = worker.play("# Title\n", "\nSome *words*", " and more.")
    async with opens(alice) as page:
        accepted = await page.ask("Hi there")
        answer = await page.until_end(accepted["generation"])

    assert answer.state == "complete"
    assert "<em>words</em> and more." in answer.html
    assert answer.end is not None
    assert answer.end["usage"] == {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 3}
    assert answer.end["error"] is None
    generation = await in_thread(Generation.objects.select_related("message").get)
    assert generation.message.content == script.text
    assert generation.state == GenerationState.COMPLETE
    assert generation.finish_reason == "stop"
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
