"""Every way in which a person's text comes into a chat passes the gate, and a refused one is stored nowhere."""

from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from apps.accounts.models import User
from apps.conversations.models import Conversation, Message
from apps.core.threads import in_thread
from apps.moderation import selectors
from apps.moderation.models import Policy, Rule
from tests.conversations.conftest import MODEL, Opens
from tests.fake_worker import FakeWorker


@pytest.fixture(autouse=True)
def rude_words_are_refused(transactional_db: None) -> Iterator[None]:
    Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother")
    Policy.objects.create(surface="chat", action="refuse", category="rude")
    selectors.forget()
    yield
    selectors.forget()


async def test_what_is_said_or_said_differently_passes_the_gate(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_end(accepted["generation"])
        conversation, message = accepted["conversation"]["id"], accepted["user_message"]["id"]
        send = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Oh bother"}
        edit = {"type": "turn.edit", "ref": "r", "conversation": conversation, "message": message, "model": MODEL}
        with_prompt = send | {"text": "Hi", "settings": {"system_prompt": "Be a bother."}}
        for frame in (send, edit | {"text": "bother!"}, with_prompt):
            assert await page.refused(frame) == "moderation.refused"
    assert await in_thread(Message.objects.count) == 2
    assert len(worker.requests) == 1


async def test_a_system_prompt_passes_the_gate_before_it_is_saved(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_end(accepted["generation"])
    client = Client()
    await sync_to_async(client.force_login)(alice)
    for chat in (f"/chat/{accepted['conversation']['id']}", "/chat"):
        post = sync_to_async(client.post)
        response = await post(
            f"{chat}/settings/save", {"system_prompt": "Be a bother."}, headers={"Accept": "application/json"}
        )
        assert response.json()["error"]["code"] == "moderation.refused"
    assert await in_thread(lambda: Conversation.objects.get().system_prompt) == ""
