"""A text of somebody's goes in by every door there is; after the erasure it is nowhere.

The doors are those of `tests.moderation.test_entry_points`: a new one joins the lists there, and is planted here too.
"""

import io
import json
import os
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import AsyncClient, Client
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry, User
from apps.accounts.services import NewKey, api_key_create
from apps.arena import frames as arena
from apps.arena.models import Battle, Verdict
from apps.arena.services.votes import vote_cast
from apps.conversations.live.registry import readers_release
from apps.conversations.models import Conversation, Message, Role
from apps.moderation.models import Incident, Policy, Rule
from apps.moderation.services.bans import ban_create
from apps.openai_api.models import Batch
from apps.openai_api.responses.runner import responses_run
from apps.privacy.models import ErasureState
from apps.privacy.services.erasures import erasure_ask
from tests.arena.support import ArenaPage, ended, open_arena_page, started
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker, enrol, fake_worker
from tests.moderation import test_entry_points as doors
from tests.moderation.conftest import MODEL
from tests.moderation.test_gate import DOORS, FIXED_DOORS
from tests.openai_api.batch_support import advance_to_the_end
from tests.plugin_services import DATA_DIR
from tests.privacy.conftest import carried_out, chat_of
from tests.privacy.traces import in_files, in_redis, in_tables
from tests.socket_page import cookies_of

pytestmark = pytest.mark.django_db(transaction=True)

MARK = "zanzibarquokka"
"""One word that nothing else has, fit for names, addresses and ids."""
END_USER = {"user": MARK}
REQUEST = "numbat-of-zanzibar"
"""As a program numbers its requests: the log has that too, to find them by, and nothing else may after the erasure."""


def marked(value: Any) -> Any:
    """The same with the mark instead of what the doors' own tests say."""
    text = json.dumps(value).replace(doors.SAID, MARK).replace("bother", MARK)
    return json.loads(text)


class Planter:
    """Alice in every part: in a browser, with a key, at the sockets."""

    def __init__(self, alice: User, key: NewKey) -> None:
        self.alice, self.actor = alice, Actor(user_id=alice.pk)
        self._headers = {"Authorization": f"Bearer {key.secret}", "X-Request-ID": REQUEST}
        self.browser = Client()
        self.browser.force_login(alice)
        self.programs = Client()

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        body = {"model": MODEL, "user": MARK, **body}
        reply = self.programs.post(f"/{path}", body, content_type="application/json", headers=self._headers)
        assert reply.status_code == status, (path, reply.content)
        return reply.json()

    def form(self, path: str, **fields: Any) -> Any:
        reply = self.browser.post(f"/{path}", fields, headers={"Accept": "application/json"})
        assert reply.status_code < 400, (path, reply.content)
        return reply

    def upload(self, content: bytes) -> str:
        file = io.BytesIO(content)
        file.name = f"{MARK}.jsonl"
        reply = self.programs.post("/v1/files", {"purpose": "batch", "file": file}, headers=self._headers)
        assert reply.status_code == 200, reply.content
        return str(reply.json()["id"])

    def pages(self) -> None:
        asked = chat_of(self.actor)
        answer = Message.objects.create(
            conversation=asked, parent=asked.active_leaf, role=Role.ASSISTANT, content=f"You said {MARK}."
        )
        chat = str(asked.public_id)
        for route, fields in doors.PAGES.items():
            given = {
                name: SimpleUploadedFile(f"{MARK}.jsonl", "\n".join(map(json.dumps, marked(value))).encode())
                if isinstance(value, list)
                else str(marked(value)).replace("its id", chat)
                for name, value in fields.items()
            }
            address = route.replace("<uuid:conversation_id>", chat)
            self.form(address.replace("<uuid:message_id>", str(answer.public_id)), **given)

    async def calls(self) -> None:
        """To models: one event loop for all, because streams and answers of battles outlive a step of the client."""
        for path, body in DOORS + FIXED_DOORS:
            # One or other refuses a word where it wants a pattern, and the scripted worker completes chats alone.
            await self._call(path, {"model": MODEL, **body}, statuses=(200, 400, 503))
        kept = {"input": MARK, "background": True, "metadata": {"note": MARK}}
        await self._call("/v1/responses", {"model": MODEL, **kept})
        for route, bodies in doors.SCRIPTS.items():
            for script in bodies:
                await self._call(f"/{route}", {"model": MODEL, **marked(script)}, end_user={})
        begun = ""
        for route in sorted(doors.ARENA_API):
            answer = await self._call("/" + route.replace("<str:battle_id>", begun), {"input": MARK})
            begun = json.loads(answer)["id"]

    async def _call(
        self, path: str, body: Any, *, statuses: tuple[int, ...] = (200,), end_user: Mapping[str, str] = END_USER
    ) -> bytes:
        body = json.dumps(marked({**body, **end_user}))
        reply = await AsyncClient().post(path, body, content_type="application/json", headers=self._headers)
        content = b"".join([piece async for piece in reply]) if reply.streaming else reply.content  # type: ignore[attr-defined]  # as a stream
        assert reply.status_code in statuses, (path, body, content)
        return content

    def batches(self) -> None:
        body = {"model": MODEL, "messages": [{"role": "user", "content": MARK}]}
        line = {"custom_id": MARK, "method": "POST", "url": "/v1/chat/completions", "body": body}
        for content in (json.dumps(line).encode(), f"no json, {MARK}".encode()):
            made = self.post(
                "v1/batches", input_file_id=self.upload(content), endpoint="/v1/chat/completions",
                completion_window="24h", metadata={"note": MARK},
            )  # fmt: skip
            advance_to_the_end(Batch.objects.get(public_id=made["id"].removeprefix("batch_")))

    def battles(self) -> None:
        for _ in range(2):
            battle = ended(started(self.actor, MARK), texts=(MARK, "No."))
        vote_cast(actor=self.actor, battle_id=battle.public_id, verdict=Verdict.A)

    def answers(self) -> None:
        """What hangs on a chat: a link, a fork, a search."""
        answer = Message.objects.filter(conversation__purpose="chat", role="assistant", content__contains=MARK).first()
        assert answer is not None
        chat = f"chat/{answer.conversation.public_id}"
        self.form(f"{chat}/fork", message=str(answer.public_id))
        self.form(f"{chat}/links/create", lasts="7")
        self.browser.get("/chats/search", {"q": MARK})

    def account(self) -> None:
        self.form("account/keys", name=MARK)
        self.browser.post("/accounts/email/", {"action_add": "", "email": f"{MARK}@example.net"})

    def vectors_and_counts(self) -> None:
        self.post("v1/tokenize", prompt=MARK)
        self.post("v1/moderations", input=MARK, model=None)
        for path in ("v1/embeddings", f"v1/engines/{MODEL}/embeddings"):
            self.post(path, 400, input=MARK)  # the scripted model makes none

    def appeal(self) -> None:
        """Against something that was refused; here all is let pass."""
        refused = Incident.objects.filter(user=self.alice).first()
        assert refused is not None
        Incident.objects.filter(pk=refused.pk).update(action="refuse")
        self.form(f"account/appeals/{refused.pk}", text=MARK)
        ban = ban_create(by=User.objects.get(is_superuser=True), reason="Spam", lasts=None, user=self.alice)
        self.form(f"account/appeals/bans/{ban.pk}", text=MARK)

    def image(self) -> None:
        """Its name and its notes have the word; of both nothing is kept."""
        notes, drawn = PngInfo(), BytesIO()
        notes.add_text("Comment", MARK)
        Image.new("RGB", (8, 8)).save(drawn, "PNG", pnginfo=notes)
        file = SimpleUploadedFile(f"{MARK}.png", drawn.getvalue(), "image/png")
        reply = self.browser.post("/chat/images", {"image": file}, headers={"accept": "application/json"})
        assert reply.status_code in (200, 201), reply.content


PLANTED: dict[str, Callable[[Planter], None]] = {
    "chat/images": Planter.image,
    "chat/<uuid:conversation_id>/fork": Planter.answers,
    "chat/<uuid:conversation_id>/links/create": Planter.answers,
    "account/keys": Planter.account,
    "account/appeals/<int:pk>": Planter.appeal,
    "account/appeals/bans/<int:pk>": Planter.appeal,
    "v1/embeddings": Planter.vectors_and_counts,
    "v1/engines/<path:engine>/embeddings": Planter.vectors_and_counts,
    "v1/moderations": Planter.vectors_and_counts,
    "v1/tokenize": Planter.vectors_and_counts,
    "v1/files": Planter.batches,
}
"""Doors whose texts pass no gate, and who plants there."""

NO_TEXT = {
    "", "health", "ready", "chat/presets/<uuid:preset_id>/delete", "chat/<uuid:conversation_id>/branch",
    "chat/<uuid:conversation_id>/delete", "chats/shared/<int:share_id>/revoke", "account/keys/<int:pk>/rotate",
    "account/keys/<int:pk>/revoke", "api/v1/token_check", "v1/votes", "v1/responses/<str:response_id>/cancel",
    "v1/batches/<str:batch_id>/cancel", "^v1/responses/(compact|input_tokens)$", "^(v1|api/v1)/.*$",
    "account/^usage\\.(?P<suffix>csv|json)$", "account/erase", "account/training",
}  # fmt: skip
"""Doors that keep nothing of what comes in."""


def test_every_door_that_is_named_elsewhere_is_planted_here() -> None:
    assert PLANTED.keys() | NO_TEXT == doors.EXEMPT.keys()


async def frames_planted(alice: User, worker: FakeWorker) -> None:
    def known() -> dict[str, str]:
        chats = Message.objects.filter(conversation__user=alice, conversation__purpose="chat")
        message = chats.filter(role="user").first()
        battle = Battle.objects.filter(user=alice, vote__isnull=True).last()
        assert message is not None
        assert battle is not None
        # The last turn of the chat must have ended, and that of the battle.
        return {"chat": str(message.conversation.public_id), "message": str(message.public_id),
                "battle": str(battle.public_id)}  # fmt: skip

    names = await sync_to_async(known)()
    cookies = await sync_to_async(cookies_of)(alice)
    for kind, frame in doors.FRAMES:
        worker.play(f"You said {MARK}.")
        sent = {name: names.get(value, value) if isinstance(value, str) else value for name, value in frame.items()}
        is_arena = kind.__module__ == arena.__name__
        async with open_arena_page(cookies) if is_arena else open_page(cookies) as page:
            await page.send({**marked(sent), "ref": "r"})
            kinds = ("turn.accepted", "turn.accepted_beside", "battle.accepted", page.REFUSED)
            accepted = await page.until(*kinds)
            assert accepted["type"] != page.REFUSED, accepted
            if isinstance(page, ArenaPage):
                await page.until_ended()
                continue
            for generation in accepted.get("generations", ()):
                await page.attach(generation)
            for generation in accepted.get("generations") or [accepted["generation"]]:
                await page.until_end(generation)


def test_after_an_erasure_a_text_is_nowhere(caplog: pytest.LogCaptureFixture, admin_user: User) -> None:
    caplog.set_level("INFO")
    with fake_worker() as worker:
        planter = planted(worker)
        async_to_sync(planted_at_sockets)(planter, worker)
        worker.play(f"You said {MARK}.")
        responses_run()
        planter.answers()
        planter.appeal()
    there = in_tables(MARK) | in_tables(REQUEST)
    assert there >= KEEPS, KEEPS - there

    erased(planter.alice)

    for mark in (MARK, REQUEST):
        assert in_tables(mark) == set()
        assert in_redis(mark) == set()
    assert MARK not in caplog.text.lower()
    if DATA_DIR in os.environ:
        folder = Path(os.environ[DATA_DIR])
        assert (folder / "logs" / "postgres.log").is_file()
        assert in_files(MARK, folder) == set()


KEEPS = {
    "accounts_user.username", "accounts_user.email", "accounts_apikey.name", "accounts_ledgerentry.request_id",
    "account_emailaddress.email", "conversations_conversation.title", "conversations_conversation.folder",
    "conversations_conversation.system_prompt", "conversations_message.content", "conversations_preset.name",
    "conversations_feedback.comment", "conversations_share.title", "conversations_share.messages",
    "appeals_appeal.text", "moderation_incident.reference", "moderation_incident.request_id",
    "openai_api_apifile.name", "openai_api_filechunk.data",
    "openai_api_batch.metadata",
    "openai_api_storedresponse.items", "openai_api_storedresponse.output", "workers_poolrequest.trace_id",
}  # fmt: skip
"""Where the mark must have been, or the test would prove little."""


async def planted_at_sockets(planter: Planter, worker: FakeWorker) -> None:
    try:
        await planter.calls()
        await frames_planted(planter.alice, worker)
    finally:
        await readers_release()
        await sync_to_async(connections.close_all)()


def planted(worker: FakeWorker) -> Planter:
    enrol(worker, MODEL, "owl-7b", "fox-13b")
    Rule.objects.create(name="Anything", category="seen", kind="regex", pattern=".")
    for surface in ("chat", "arena", "api"):
        Policy.objects.create(surface=surface, category="seen", action="flag")
    alice = User.objects.create_user(MARK, f"{MARK}@example.org", "correct horse")
    planter = Planter(alice, api_key_create(name="laptop", user=alice))
    for plant in (planter.pages, planter.account, planter.vectors_and_counts):
        plant()
    for plant in (planter.batches, planter.battles):
        worker.play(f"You said {MARK}.")
        plant()
    return planter


def erased(alice: User) -> None:
    n_tokens = sum(LedgerEntry.objects.values_list("prompt_tokens", flat=True))
    request = erasure_ask(user=alice, visitor_public_id=None)
    assert carried_out(request).state == ErasureState.ERASED
    assert carried_out(request).state == ErasureState.DONE
    assert not Conversation.objects.exists()
    assert not Incident.objects.exists()
    assert sum(LedgerEntry.objects.values_list("prompt_tokens", flat=True)) == n_tokens
