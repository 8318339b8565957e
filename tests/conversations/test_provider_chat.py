"""A chat in the browser whose model a provider serves: it keeps no answers, so only one process can read each."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apps.accounts.models import LedgerEntry, User
from apps.conversations.live.recovery import recover
from apps.conversations.live.registry import readers_release
from apps.conversations.models import Generation, Message
from apps.conversations.services import generations
from apps.core.threads import in_thread
from apps.workers.providers.continuing import GO_ON
from apps.workers.services import providers
from tests.conversations.conftest import MODEL, Opens
from tests.workers.stand_in import StandIn, standing_in, stream


@pytest.fixture
def provider(transactional_db: None) -> Iterator[StandIn]:
    with standing_in() as server:
        lab = providers.provider_create(label="lab", kind="other", base_url=server.base_url, key="a-key")
        providers.model_map(lab, name=MODEL, upstream_name="theirs")
        yield server


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"id": "x", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


async def test_an_answer_is_streamed_and_a_second_page_sees_it_too(
    opens: Opens, alice: User, provider: StandIn
) -> None:
    gate = threading.Event()
    provider.replies.append(stream(piece("first"), gate, piece(" second", "stop"), USAGE, "[DONE]"))
    async with opens(alice) as page, opens(alice) as other:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "first")
        await other.attach(generation)
        await other.until_shown(generation, "first")
        gate.set()
        ended = [await one.until_end(generation) for one in (page, other)]
    assert [answer.state for answer in ended] == ["complete", "complete"]
    assert all("first second" in answer.html for answer in ended)
    assert ended[0].end is not None
    assert ended[0].end["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}
    assert len(provider.asked) == 1
    assert "generation_id" not in provider.asked[0].body


async def test_stop_ends_it_at_the_provider_and_keeps_what_came(opens: Opens, alice: User, provider: StandIn) -> None:
    provider.replies.append(stream(piece("first"), threading.Event()))
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "first")
        await page.send({"type": "turn.stop", "generation": generation})
        answer = await page.until_end(generation)
    assert (answer.state, "first" in answer.html) == ("stopped", True)
    assert await asyncio.to_thread(provider.hung_up.wait, 10)
    entry = await LedgerEntry.objects.aget()
    assert (entry.state, entry.is_estimated, entry.completion_tokens) == ("stopped", True, 1)


async def test_a_stop_from_another_process_reaches_the_one_that_reads(
    opens: Opens, alice: User, provider: StandIn
) -> None:
    provider.replies.append(stream(piece("first"), threading.Event()))
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "first")
        row = await Generation.objects.aget()
        assert await in_thread(generations.generation_request_stop, row.public_id)
        assert (await page.until_end(generation)).state == "stopped"
    assert await asyncio.to_thread(provider.hung_up.wait, 10)


async def test_what_a_process_that_ended_had_saved_is_kept(opens: Opens, alice: User, provider: StandIn) -> None:
    provider.replies.append(stream(piece("first"), threading.Event()))
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "first")
        await readers_release()
    assert await recover(limit=10, within_s=20) == 1
    row = await Generation.objects.select_related("message").aget()
    assert (row.state, row.message.content) == ("failed", "first")
    assert len(provider.asked) == 1


async def test_a_provider_is_asked_for_the_rest_in_words(opens: Opens, alice: User, provider: StandIn) -> None:
    provider.replies += [
        stream(piece("One, two", "length"), USAGE, "[DONE]"),
        stream(piece(", three", "stop"), USAGE, "[DONE]"),
    ]
    async with opens(alice) as page:
        accepted = await page.ask("Count")
        await page.until_end(accepted["generation"])
        await page.send({"type": "turn.continue", "ref": "r", "conversation": accepted["conversation"]["id"]})
        answer = await page.until_end((await page.until("turn.accepted"))["generation"])
    assert answer.html == "<p>One, two, three</p>\n"
    body = provider.asked[-1].body
    assert [message["content"] for message in body["messages"]] == ["Count", "One, two", GO_ON]
    assert "continue_final_message" not in body


async def test_a_provider_is_not_told_thoughts_without_an_end(opens: Opens, alice: User, provider: StandIn) -> None:
    thought = {"id": "x", "choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}, "finish_reason": None}]}
    provider.replies += [
        stream(thought, threading.Event()),
        stream(piece("Yes", "stop"), USAGE, "[DONE]"),
    ]
    async with opens(alice) as page:
        accepted = await page.ask("Really?")
        await page.until_shown(accepted["generation"], "Hm")
        await page.send({"type": "turn.stop", "generation": accepted["generation"]})
        await page.until_end(accepted["generation"])
        await in_thread(Message.objects.filter(role="assistant").update, content="<think>\nHm")
        await page.send({"type": "turn.continue", "ref": "r", "conversation": accepted["conversation"]["id"]})
        answer = await page.until_end((await page.until("turn.accepted"))["generation"])
    assert [message["content"] for message in provider.asked[-1].body["messages"]] == ["Really?"]
    assert answer.blocks[0].startswith("<details")
    assert answer.blocks[1] == "<p>Yes</p>\n"
