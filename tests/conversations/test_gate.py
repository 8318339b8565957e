"""Every way in which a person's text comes into a chat passes the gate, and a refused one is stored nowhere."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.errors import ImportRefused
from apps.conversations.exchange.drafts import Draft, DraftMessage
from apps.conversations.models import Conversation, Message, Preset, Share
from apps.conversations.services import import_gate
from apps.conversations.services.import_gate import drafts_pass
from apps.conversations.services.shares import share_create
from apps.core.threads import in_thread
from apps.moderation import matching, selectors
from apps.moderation.actions import Finding
from apps.moderation.batches import BATCH_CHARS, BATCH_TEXTS
from apps.moderation.errors import ClassifierAway, TextRefused
from apps.moderation.models import Incident, Policy, Rule
from tests.conversations.conftest import MODEL, Opens
from tests.conversations.test_services import answered
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


# --- Names, and what is imported --------------------------------------------------------------------------------------


@pytest.fixture
def chat(alices: Actor, model: LanguageModel) -> Conversation:
    return answered(alices, "Hi").conversation


NAMED = {
    "a title": ("/chat/{chat}/rename", {"title": "Oh bother"}),
    "a folder beside a title": ("/chat/{chat}/rename", {"title": "Fine", "folder": "Bother"}),
    "a folder": ("/chats/change", {"change": "move", "chat": "{chat}", "folder": "Bother"}),
    "a preset": ("/chat/presets/save", {"preset_name": "Bother"}),
    "a preset's prompt": ("/chat/presets/save", {"preset_name": "Fine", "system_prompt": "Be a bother."}),
    "a text to stop at": ("/chat/settings/save", {"stop": "bother"}),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_a_person_names_passes_the_gate(client: Client, alice: User, chat: Conversation, what: str) -> None:
    client.force_login(alice)
    url, fields = NAMED[what]
    chat_id = str(chat.public_id)
    fields = {name: value.format(chat=chat_id) for name, value in fields.items()}
    response = client.post(url.format(chat=chat_id), fields, headers={"Accept": "application/json"})
    assert response.json()["error"]["code"] == "moderation.refused"
    chat.refresh_from_db()
    assert (chat.title, chat.folder) == ("Hi", "")
    assert not Preset.objects.exists()


def test_nobody_looks_at_names_that_a_stranger_gives(client: Client, charlie: User, chat: Conversation) -> None:
    client.force_login(charlie)
    for url, fields in (NAMED["a title"], NAMED["a folder"]):
        sent = {name: value.format(chat=chat.public_id) for name, value in fields.items()}
        assert client.post(url.format(chat=chat.public_id), sent).status_code == 404
    assert not Incident.objects.exists()


def imported(*messages: DraftMessage, **fields: Any) -> Draft:
    return Draft(**{"title": "Fine"} | fields, messages=list(messages) or [DraftMessage(None, "user", "Hi")])


BAD = {
    "a title": imported(title="Bother"),
    "a folder": imported(folder="Bother"),
    "a prompt": imported(system_prompt="bother"),
    "a text to stop at": imported(sampling={"stop": ["bother"]}),
    "a message": imported(DraftMessage(None, "user", "bother")),
    "a model": imported(DraftMessage(None, "assistant", "Hi", model="bother")),
}


@pytest.mark.parametrize("what", BAD)
async def test_all_texts_of_a_file_pass_the_gate(alices: Actor, what: str) -> None:
    with pytest.raises(TextRefused):
        await drafts_pass(alices, [imported(), BAD[what]])


async def test_imported_answers_keep_to_what_holds_for_answers_too(alices: Actor) -> None:
    await in_thread(Policy.objects.update, action="allow")
    asked, answer = DraftMessage(None, "user", "bother"), DraftMessage(0, "assistant", "Don't bother")
    await drafts_pass(alices, [imported(asked, answer)])
    await in_thread(lambda: Policy.objects.create(surface="chat", direction="out", action="redact", category="rude"))
    selectors.forget()
    await drafts_pass(alices, [imported(asked, answer)])
    assert (asked.content, answer.content) == ("bother", "Don't [removed]")
    assert (await in_thread(Incident.objects.get)).direction == "out"  # whose policy did it


async def test_what_redaction_makes_longer_still_fits(alices: Actor) -> None:
    await in_thread(Policy.objects.update, action="redact")
    selectors.forget()
    draft = imported(title="bother " * 28, folder="bother " * 11)
    await drafts_pass(alices, [draft])
    assert len(draft.title) <= 200
    assert len(draft.folder) <= 80
    assert "bother" not in draft.title + draft.folder


async def test_a_file_is_looked_at_in_bounded_groups(alices: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Sequence[str]] = []

    def findings_of(rules: object, texts: Sequence[str], **_: object) -> list[list[Finding]]:
        looked_at.append(texts)
        return [[] for _ in texts]

    monkeypatch.setattr(matching, "findings_of", findings_of)
    messages = [DraftMessage(None, "user", f"{n} " + "x" * 10_000 * (n % 3)) for n in range(100)]
    await drafts_pass(alices, [imported(*messages)])
    assert sorted(text for texts in looked_at for text in texts) == sorted(["Fine", *(m.content for m in messages)])
    for texts in looked_at:
        assert len(texts) <= BATCH_TEXTS
        assert sum(map(len, texts)) <= BATCH_CHARS


async def test_nothing_is_imported_that_nobody_had_time_for(alices: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "REQUEST_LIMIT_S", -1.0)
    with pytest.raises(ClassifierAway, match="House words"):
        await drafts_pass(alices, [imported()])


async def test_a_file_that_takes_too_long_is_refused(alices: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_gate, "PASS_WITHIN_S", 0.0)
    with pytest.raises(ImportRefused, match="split it"):
        await drafts_pass(alices, [imported()])


# --- What others will read --------------------------------------------------------------------------------------------


def test_a_link_shows_what_the_rules_of_today_let_pass(client: Client, alices: Actor, model: LanguageModel) -> None:
    Policy.objects.update(action="allow")
    selectors.forget()
    chat = answered(alices, "Oh bother", answer="Don't bother.").conversation
    Policy.objects.update(action="redact")
    Policy.objects.create(surface="chat", direction="out", action="redact", category="rude")
    selectors.forget()

    share = share_create(actor=alices, conversation_id=chat.public_id, lasts=None)

    page = client.get(f"/shared/{share.token}").content.decode()
    assert "bother" not in page.lower()
    assert "Don&#x27;t [removed]." in page or "Don't [removed]." in page
    assert chat.messages.filter(content__contains="bother").count() == 2
    Policy.objects.update(action="refuse")
    selectors.forget()
    with pytest.raises(TextRefused):
        share_create(actor=alices, conversation_id=chat.public_id, lasts=None)
    assert Share.objects.count() == 1
