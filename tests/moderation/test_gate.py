"""The gate at every entry point: the chat in the browser, and the API's doors through which texts go to models."""

import asyncio
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.actors import Actor
from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Audience, Endpoint, LedgerEntry, Limit, Metric, Period, Reservation, User
from apps.accounts.services import NewKey, api_key_create
from apps.conversations.models import Conversation, Message
from apps.moderation import selectors
from apps.moderation.actions import REMOVED
from apps.moderation.errors import TextRefused
from apps.moderation.models import Classifier, Incident, Policy, Rule
from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.metering import counted
from apps.openai_api.models import BatchLine, StoredResponse
from apps.openai_api.moderation import call_pass
from apps.openai_api.unknown_texts import unknown_texts
from apps.privacy.models import Kept
from apps.privacy.services.retention import retention_run
from apps.workers.call import Call, WorkerPath
from apps.workers.metering import renewal
from apps.workers.models import Worker
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker, Gate
from tests.moderation.conftest import MODEL, classifier, post, verdict
from tests.openai_api.batch_support import advance_to_the_end, content_of, new_batch
from tests.socket_page import cookies_of
from tests.workers.stand_in import StandIn, whole

pytestmark = pytest.mark.django_db(transaction=True)


def policy(surface: str, action: str, category: str = "") -> None:
    Policy.objects.create(surface=surface, action=action, category=category)


SAID = "Oh bother, again"
PART = {"type": "input_text", "text": SAID}
ASKED = {"role": "user", "content": "Hi"}
SAYS = {"role": "user", "content": SAID}
# As a function would read it, the word stands at the beginning of a line.
ARGUMENTS = json.dumps({"to": ["x", f"\n{SAID}"]})
KEYED = json.dumps({SAID: 1})
CALL: dict[str, Any] = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}
CALL_OF_NOBODY: dict[str, Any] = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM: dict[str, Any] = {"id": "c", "type": "custom", "custom": {"name": "f", "input": SAID}}
# One reader takes the first value of the two, another the last; spelled so that the raw text does not show it.
TWICE = '{"to": "\\u0062other", "to": "x"}'


def tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def layout(word: str) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": word}}}


DOORS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": SAID}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": SAID}], "stream": True}),
    ("/v1/completions", {"prompt": SAID}),
    ("/v1/completions", {"prompt": ["Hi", SAID]}),
    ("/v1/responses", {"input": SAID}),
    ("/v1/responses", {"input": SAID, "stream": True}),
    ("/v1/responses", {"input": SAID, "background": True}),
    ("/v1/responses", {"input": "Hi", "instructions": SAID}),
    ("/v1/responses", {"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": SAID}]}]}),
    ("/v1/responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": SAID}]}),
    ("/v1/responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": [PART]}]}),
    ("/v1/responses", {"input": [{"type": "reasoning", "summary": [PART]}, {"role": "user", "content": "Hi"}]}),
    ("/v1/responses", {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ARGUMENTS}]}),
    ("/v1/responses", {"input": "Hi", "tools": [{"type": "function", "name": "f", "description": SAID}]}),
    ("/v1/chat/completions", {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}]}),
    ("/v1/chat/completions", {"messages": [ASKED, {"role": "assistant", "function_call": CALL["function"]}]}),
    ("/v1/chat/completions", {"messages": [ASKED, {"role": "assistant", "tool_calls": [CUSTOM]}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Oh bo\0ther, again"}]}),
    ("/v1/chat/completions", {"messages": [ASKED, {"role": "assistant", "reasoning_content": SAID}]}),
    ("/v1/chat/completions", {"messages": [ASKED], "tools": [tool(description=SAID)]}),
    ("/v1/chat/completions", {"messages": [ASKED], "tools": [tool(parameters={"x": {"description": SAID}})]}),
    ("/v1/chat/completions", {"messages": [ASKED], "prediction": {"type": "content", "content": SAID}}),
    ("/v1/completions", {"prompt": "Hi", "suffix": SAID}),
]
"""A new door through which a text goes to a model joins this list."""

FIXED_DOORS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi", "name": SAID}]}),
    ("/v1/chat/completions", {"messages": [ASKED], "tools": [tool(name="bother")]}),
    ("/v1/chat/completions", {"messages": [ASKED], "tools": [tool(parameters={"enum": [SAID]})]}),
    ("/v1/chat/completions", {"messages": [ASKED], "response_format": layout(SAID)}),
    ("/v1/chat/completions", {"messages": [ASKED], "guided_choice": [SAID, "Well"]}),
    ("/v1/completions", {"prompt": "Hi", "guided_regex": SAID}),
    (
        "/v1/responses",
        {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "x", "schema": {"const": SAID}}}},
    ),
    ("/v1/responses", {"input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": {SAID: {}}}]}),
    ("/v1/responses", {"input": [{"type": "function_call", "call_id": "c", "name": "bother", "arguments": "{}"}]}),
    ("/v1/responses", {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": KEYED}]}),
    ("/v1/responses", {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": TWICE}]}),
    (
        "/v1/chat/completions",
        {"messages": [ASKED, {"role": "assistant", "tool_calls": [{**CUSTOM, "custom": {"name": "bother"}}]}]},
    ),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi", "aside": "bother"}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": {"text": SAID}}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [["deep", {"x": SAID}]]}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "is": SAID}]}]}),
    (
        "/v1/chat/completions",
        {"messages": [ASKED, {"role": "assistant", "tool_calls": [{**CALL_OF_NOBODY, "id": SAID}]}]},
    ),
    ("/v1/chat/completions", {"messages": [{"role": SAID, "content": "Hi"}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi", "meta": {SAID: True}}]}),
]
"""Texts out of which nothing can be taken."""


@pytest.mark.parametrize(("path", "body"), DOORS + FIXED_DOORS)
def test_what_is_found_at_the_api_is_refused_with_the_reason(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, path: str, body: dict[str, Any]
) -> None:
    reply = post(client, key, path, **body)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["code"]) == (403, "permission_error", "content_policy")
    assert "House words (rude)" in error["message"]
    assert "bother" not in error["message"]
    assert worker.requests == []
    assert StoredResponse.objects.count() == 0
    incident = Incident.objects.get()
    assert (incident.surface, incident.action, incident.categories, incident.found_by) == (
        "api",
        "refuse",
        ["rude"],
        ["House words"],
    )
    assert (incident.user_id, incident.api_key_id) == (key.key.user_id, key.key.pk)
    if path == "/v1/responses":
        assert incident.reference.startswith("resp_")  # it would have been kept as that
    else:
        assert incident.reference == reply["x-request-id"]
    assert incident.request_id == reply["x-request-id"]


def test_moderators_find_an_incident_by_the_id_of_the_request_that_a_program_was_told(
    client: Client, admin_client: Client, key: NewKey, worker: FakeWorker, rude: Rule
) -> None:
    body = {"model": MODEL, "input": SAID}
    told = [post(client, key, "/v1/responses", **body)["x-request-id"] for _ in range(2)]
    found = admin_client.get(reverse("admin:moderation_incident_changelist"), {"q": told[0]})
    assert [incident.request_id for incident in found.context["cl"].result_list] == told[:1]


@pytest.mark.parametrize(
    ("path", "body"), [door for door in DOORS if door[0] != "/v1/completions" and not door[1].get("background")]
)
def test_what_is_found_at_the_api_is_taken_out(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, path: str, body: dict[str, Any]
) -> None:
    policy("api", "redact", "rude")
    reply = post(client, key, path, **body)
    assert reply.status_code == 200
    sent = json.dumps(worker.requests[0])
    assert f"Oh {REMOVED}, again" in sent or "reasoning" in json.dumps(body)
    assert "bother" not in sent
    assert Incident.objects.get().action == "redact"
    for kept in StoredResponse.objects.all():
        assert "bother" not in json.dumps([kept.items, kept.repeated])


@pytest.mark.parametrize(("path", "body"), FIXED_DOORS)
def test_what_is_found_where_nothing_can_be_taken_out_is_refused(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, path: str, body: dict[str, Any]
) -> None:
    policy("api", "redact", "rude")
    assert post(client, key, path, **body).json()["error"]["code"] == "content_policy"
    assert (worker.requests, StoredResponse.objects.count()) == ([], 0)


CARD = 4111111111111111


async def test_numbers_are_looked_at_and_stay_numbers_where_nothing_is_found(rude: Rule, closing: None) -> None:
    def rules() -> None:
        Rule.objects.create(name="Cards", category="card", kind="personal", pattern="card")
        policy("api", "redact", "card")
        policy("api", "redact", "rude")

    await sync_to_async(rules)()

    def call(arguments: str) -> dict[str, Any]:
        return {
            "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]
        }

    passed = await call_pass(Call(Actor(), MODEL, call(json.dumps({"card": CARD, "n": [7, 1.5, True], "to": SAID}))))
    sent = json.loads(passed.body["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert sent == {"card": REMOVED, "n": [7, 1.5, True], "to": f"Oh {REMOVED}, again"}
    with pytest.raises(TextRefused, match="Cards"):
        await call_pass(Call(Actor(), MODEL, {"tools": [tool(parameters={"enum": [CARD]})]}))


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]], ["Hi", [1]]])
def test_token_ids_are_refused_where_something_is_done_about_texts(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, prompt: list[Any]
) -> None:
    reply = post(client, key, "/v1/completions", prompt=prompt)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "prompt")
    assert "token ids cannot be looked at" in reply.json()["error"]["message"]
    assert worker.requests == []


def test_audio_is_refused_where_there_are_rules(client: Client, key: NewKey, worker: FakeWorker, rude: Rule) -> None:
    spoken = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    reply = post(client, key, "/v1/chat/completions", messages=[ASKED, {"role": "user", "content": [spoken]}])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages[1].content[0]")
    assert "listen to audio" in reply.json()["error"]["message"]
    assert worker.requests == []


def test_an_answer_that_is_sent_back_as_it_came_brings_nothing_new_to_judge(rude: Rule) -> None:
    """So that a classifier is not asked about words like `assistant`."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}}
    bare = {"type": "image_url", "image_url": "data:"}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, image, bare]},
        {
            "role": "assistant", "content": "Yes", "refusal": None, "annotations": [], "audio": None,
            "function_call": None, "reasoning_content": "Hm", "name": "owl", "prefix": True,
            "tool_calls": [{**CALL, "id": "call_x-1", "index": 0}, CUSTOM],
        },
        {"role": "tool", "tool_call_id": "call_x-1", "content": [{"type": "text", "text": "7"}]},
    ]  # fmt: skip
    assert list(unknown_texts({"messages": messages})) == []
    assert list(unknown_texts({"messages": ["x", 7, None]})) == list(unknown_texts({"messages": "x"})) == []
    weighted = {"messages": [{"role": "assistant", "content": "Yes", "weight": 0.5, "said by": ["an owl", True]}]}
    assert list(unknown_texts(weighted)) == ["0.5\nsaid by\nan owl"]


async def test_token_ids_pass_where_nothing_would_be_done(rude: Rule, closing: None) -> None:
    call = Call(Actor(), MODEL, {"prompt": [1, 2, 3]}, WorkerPath.COMPLETIONS)
    await sync_to_async(policy)("api", "allow")
    assert await call_pass(call) is call
    await sync_to_async(policy)("api", "flag", "rude")
    with pytest.raises(InvalidRequest):
        await call_pass(call)


async def test_texts_for_vectors_and_for_counting_are_not_looked_at(rude: Rule, closing: None) -> None:
    for path in (WorkerPath.EMBEDDINGS, WorkerPath.TOKENIZE):
        call = Call(Actor(), MODEL, {"input": SAID, "prompt": SAID}, path)
        assert await call_pass(call) is call


async def test_a_body_that_is_nested_too_deep_is_refused(rude: Rule, closing: None) -> None:
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"x": [deep]}
    for body in ({"tools": [deep]}, {"messages": [{"content": "Hi", "name": "f", "arguments": "[" * 99_999}]}):
        with pytest.raises(InvalidRequest, match="nested too deep"):
            await call_pass(Call(Actor(), MODEL, body))


async def test_a_body_that_can_be_looked_at_but_not_copied_is_refused_as_nested_too_deep(
    rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("api", "redact")
    deep: dict[str, Any] = {}
    for _ in range(sys.getrecursionlimit()):
        deep = {"x": [deep]}
    with pytest.raises(InvalidRequest, match="nested too deep"):
        await call_pass(Call(Actor(), MODEL, {"messages": [SAYS], "response_format": {"json_schema": deep}}))


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("action", ["flag", "redact"])
def test_a_line_of_a_batch_that_waits_is_looked_at_once(
    key: NewKey, worker: FakeWorker, rude: Rule, url: str, action: str
) -> None:
    policy("api", action)
    Worker.objects.update(lease_expires_at=timezone.now())
    body = {"model": MODEL, "input": SAID} if "responses" in url else {"model": MODEL, "messages": [SAYS]}
    batch = new_batch(key, {"custom_id": "a", "method": "POST", "url": url, "body": body}, endpoint=url)
    for _ in range(4):
        batch_advance(batch.pk)
    assert (Incident.objects.count(), BatchLine.objects.get().status_code) == (1, None)
    kept = json.dumps(BatchLine.objects.get().body)
    assert ("bother" in kept, REMOVED in kept) == (action == "flag", action == "redact")
    Worker.objects.update(lease_expires_at=timezone.now() + timedelta(hours=1))
    batch_advance(batch.pk)
    assert BatchLine.objects.get().status_code == 200
    assert Incident.objects.count() == 1
    sent = worker.requests[0]["messages"][0]["content"]
    assert sent == SAID if action == "flag" else sent == f"Oh {REMOVED}, again"


def test_a_line_of_a_batch_is_refused_alone(key: NewKey, worker: FakeWorker, rude: Rule) -> None:
    url = "/v1/chat/completions"
    lines = [
        {
            "custom_id": said,
            "method": "POST",
            "url": url,
            "body": {"model": MODEL, "messages": [{"role": "user", "content": said}]},
        }
        for said in ("Hi", SAID)
    ]
    batch = new_batch(key, *lines, endpoint=url)
    batch_advance(batch.pk)
    batch_advance(batch.pk, slice_s=5)
    assert dict(BatchLine.objects.values_list("custom_id", "status_code")) == {"Hi": 200, SAID: 403}
    assert [request["messages"][0]["content"] for request in worker.requests] == ["Hi"]


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/responses"])
def test_a_batch_tells_what_was_done_about_its_lines(key: NewKey, worker: FakeWorker, rude: Rule, url: str) -> None:
    policy("api", "redact")
    Policy.objects.create(surface="api", direction="out", action="flag")
    Worker.objects.update(lease_expires_at=timezone.now())
    bodies = {
        said: {"input": said} if "responses" in url else {"messages": [{**SAYS, "content": said}]} for said in "ab"
    }
    bodies["a"] = {"input": SAID} if "responses" in url else {"messages": [SAYS]}
    lines = [
        {"custom_id": name, "method": "POST", "url": url, "body": {"model": MODEL, **body}}
        for name, body in bodies.items()
    ]
    batch = new_batch(key, *lines, endpoint=url)
    for _ in range(2):
        batch_advance(batch.pk)  # it is looked at, and waits
    Worker.objects.update(lease_expires_at=timezone.now() + timedelta(hours=1))
    for said in ("Such a bother", "Such a bother"):
        worker.play(said)
    batch = advance_to_the_end(batch)
    told = {one["custom_id"]: one.get("moderation") for one in content_of(batch.output_file)}
    found = {"categories": ["rude"], "found_by": ["House words"]}
    answered = {"action": "flag", "text": "out", **found}
    assert told == {"a": [{"action": "redact", "text": "in", **found}, answered], "b": [answered]}


@pytest.mark.parametrize(("action", "n_incidents"), [("allow", 0), ("flag", 1)])
def test_what_is_allowed_or_flagged_goes_on_as_it_is(
    client: Client, key: NewKey, worker: FakeWorker, rude: Rule, action: str, n_incidents: int
) -> None:
    policy("api", action)
    assert post(client, key, "/v1/chat/completions", **DOORS[0][1]).status_code == 200
    assert worker.requests[0]["messages"][0]["content"] == SAID
    assert Incident.objects.count() == n_incidents


async def test_a_turn_of_the_chat_is_refused_before_anything_is_stored(
    alice: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        await page.send({"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": SAID})
        refused = await page.until("turn.refused")
        assert (refused["ref"], refused["error"]["code"]) == ("r", "moderation.refused")
        assert "House words (rude)" in refused["error"]["message"]
    assert await sync_to_async(Message.objects.count)() == 0
    incident = await sync_to_async(Incident.objects.get)()
    assert (incident.surface, incident.user_id) == ("chat", alice.pk)


async def test_a_turn_of_the_chat_is_stored_and_answered_as_it_was_redacted(
    alice: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("chat", "redact")
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        await page.until_end((await page.ask(SAID))["generation"])
    texts = await sync_to_async(lambda: list(Message.objects.order_by("pk").values_list("content", flat=True)))()
    assert texts[0] == f"Oh {REMOVED}, again"
    assert worker.requests[0]["messages"][0]["content"] == texts[0]


async def test_nobody_looks_at_a_text_that_may_not_be_sent(
    alice: User, charlie: User, worker: FakeWorker, rude: Rule, closing: None, settings: Settings
) -> None:
    settings.MESSAGE_MAX_CHARS = 100
    alices = await sync_to_async(Conversation.objects.create)(user=alice, title="Hers", updated_at=timezone.now())
    turn: dict[str, Any] = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": SAID}
    async with open_page(await sync_to_async(cookies_of)(charlie)) as page:
        assert await page.refused(turn | {"text": SAID * 10}) == "chat.message_too_long"
        assert await page.refused(turn | {"model": "none"}) == "models.unknown"
        assert await page.refused(turn | {"conversation": str(alices.public_id)}) == "chat.not_found"
    assert await sync_to_async(Incident.objects.count)() == 0


async def test_an_answer_is_stopped_while_another_text_is_looked_at(
    alice: User, worker: FakeWorker, server: StandIn, closing: None
) -> None:
    written, judged = Gate(), threading.Event()
    worker.play("So far", written)
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "So far")
        await sync_to_async(classifier)(server)
        reply = whole({"results": [verdict(hate=False)]})
        reply.pieces.insert(0, judged)
        server.replies.append(reply)
        send = {"type": "turn.send", "conversation": None, "model": MODEL, "text": "And this?"}
        await page.send({**send, "ref": "first"})
        await page.send({**send, "ref": "second"})
        await page.send({"type": "turn.stop", "generation": generation})
        assert (await page.until_end(generation)).state == "stopped"
        server.replies.append(whole({"results": [verdict(hate=False)]}))
        judged.set()
        assert [(await page.until("turn.accepted"))["ref"] for _ in range(2)] == ["first", "second"]


# --- The classifier ---------------------------------------------------------------------------------------------------


def test_a_classifier_judges_all_texts_of_a_request_at_once(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn
) -> None:
    classifier(server)
    server.replies.append(whole({"results": [verdict(hate=False), verdict(hate=True, violence=False)]}))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Grr"}]
    reply = post(client, key, "/v1/chat/completions", messages=messages)
    assert reply.status_code == 403
    assert "judge (hate)" in reply.json()["error"]["message"]
    [asked] = server.asked
    assert (asked.path, asked.body) == ("/v1/moderations", {"input": ["Be kind.", "Grr"], "model": "judge-1"})
    assert asked.headers["authorization"] == "Bearer sk-judge"


def test_a_long_request_is_judged_in_groups_and_what_is_late_is_unchecked_alone(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn
) -> None:
    classifier(server, timeout_s=1.0)
    policy("api", "flag", "hate")
    never = whole({})
    never.pieces = [threading.Event()]
    server.replies += [never, whole({"results": [verdict(hate=True)] * 32})]
    messages = [{"role": "user", "content": f"Grr {number}"} for number in range(64)]
    assert post(client, key, "/v1/chat/completions", messages=messages).status_code == 200
    assert [len(asked.body["input"]) for asked in server.asked] == [32, 32]
    assert Incident.objects.get().categories == ["hate", "unchecked"]


AWAY = [
    whole({"error": "busy"}, 500),
    whole({"results": []}),
    whole({"results": [{"categories": 5}]}),
    whole(["nonsense"]),
    whole({"results": [{"categories": {"hate": True}, "category_scores": {"hate": 10**400}}]}),
    whole({"results": [{"categories": {"hate": True}, "category_scores": {"hate": float("nan")}}]}),
    whole({"results": [verdict(hate=True)]}, Content_Encoding="gzip"),
    whole({}, 302, Location="http://169.254.169.254/"),
]


@pytest.mark.parametrize("reply", AWAY)
@pytest.mark.parametrize(("action", "status"), [("allow", 200), (None, 200), ("refuse", 403)])
def test_a_classifier_that_does_not_judge_leaves_it_to_the_policy(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn, reply: Any, action: str | None, status: int
) -> None:
    classifier(server)
    if action is not None:
        policy("api", action, "unchecked")
    server.replies.append(reply)
    messages = [{"role": "user", "content": "Hi"}]
    assert post(client, key, "/v1/chat/completions", messages=messages).status_code == status
    assert len(server.asked) == 1
    assert [incident.categories for incident in Incident.objects.all()] == (
        [] if action == "allow" else [["unchecked"]]
    )


def test_a_classifier_that_is_silent_is_left_after_its_time(
    client: Client, key: NewKey, worker: FakeWorker, server: StandIn
) -> None:
    classifier(server, timeout_s=0.2)
    never = whole({})
    never.pieces = [threading.Event()]
    server.replies.append(never)
    assert post(client, key, "/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}]).status_code == 200
    assert Incident.objects.get().categories == ["unchecked"]


def test_a_classifier_at_a_forbidden_address_is_not_called(client: Client, key: NewKey, worker: FakeWorker) -> None:
    Classifier.objects.create(name="judge", base_url="http://169.254.169.254/v1")
    policy("api", "refuse", "unchecked")
    assert post(client, key, "/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}]).status_code == 403


def test_a_key_goes_to_no_other_address(client: Client, key: NewKey, worker: FakeWorker, server: StandIn) -> None:
    classifier(server)
    Classifier.objects.update(base_url=server.base_url.replace("/v1", "/v2"))
    assert post(client, key, "/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}]).status_code == 200
    assert server.asked == []


# --- /v1/moderations --------------------------------------------------------------------------------------------------


def judge(client: Client, key: NewKey, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {key.secret}"}
    return client.post("/v1/moderations", body, content_type="application/json", headers=headers)


def test_moderations_answers_by_rules_and_classifier_and_does_nothing(
    client: Client, key: NewKey, rude: Rule, server: StandIn
) -> None:
    classifier(server)
    server.replies.append(whole({"results": [verdict(hate=False), verdict(hate=True)]}))
    reply = judge(client, key, input=["Hi", SAID], model="omni-moderation-latest").json()
    assert reply["model"] == "judge-1"
    assert [(result["flagged"], result["categories"]) for result in reply["results"]] == [
        (False, {"hate": False, "rude": False}),
        (True, {"hate": True, "rude": True}),
    ]
    assert reply["results"][1]["category_scores"] == {"hate": 0.9, "rude": 1.0}
    assert Incident.objects.count() == 0


async def test_what_takes_longer_than_a_reservation_lasts_keeps_it(
    key: NewKey, monkeypatch: pytest.MonkeyPatch, closing: None
) -> None:
    monkeypatch.setattr(renewal._reservations, "_every_s", 0.01)

    def is_over() -> bool:
        return Reservation.objects.filter(expires_at__lte=timezone.now()).exists()

    actor = Actor(user_id=key.key.user_id, api_key_id=key.key.pk)
    async with counted(actor, endpoint=Endpoint.MODERATIONS, answerer="judge-1"), asyncio.timeout(10):
        await sync_to_async(Reservation.objects.update)(expires_at=timezone.now())
        while await sync_to_async(is_over)():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the pace of asking, not a guess at how long it takes
    assert await sync_to_async(LedgerEntry.objects.get)()
    assert not renewal._reservations._of_this_loop().pks


def test_moderations_claims_nothing_that_nobody_judged(
    client: Client, key: NewKey, rude: Rule, server: StandIn
) -> None:
    assert judge(client, key, input=SAID).json()["results"][0]["categories"] == {"rude": True}
    classifier(server)
    server.replies.append(whole({}, 500))
    reply = judge(client, key, input="Hi")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "moderation_unavailable")
    assert reply["Retry-After"]
    Rule.objects.all().delete()
    Classifier.objects.all().delete()
    reply = judge(client, key, input="Hi")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "nothing_set_up")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ["x"] * 33}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"type": "image_url", "image_url": {"url": "data:,"}}]}, "input[0].type"),
        ({"input": "x", "model": "of-somebody-else"}, "model"),
        ({"input": "x", "model": {}}, "model"),
    ],
)
def test_moderations_refuses_by_field(
    client: Client, key: NewKey, rude: Rule, body: dict[str, Any], param: str
) -> None:
    reply = judge(client, key, **body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_moderations_are_requests_in_limits_and_ledger(
    client: Client, key: NewKey, rude: Rule, server: StandIn
) -> None:
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=2)
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.TOKENS, period=Period.DAY, amount=1)
    judge_row = classifier(server)
    server.replies += [whole({}, 500), whole({"results": [verdict(hate=False)]})]
    assert judge(client, key, input="Hi").status_code == 503
    answered = judge(client, key, input="Hi")
    assert (answered.status_code, answered["x-ratelimit-remaining-requests"]) == (200, "1")
    judge_row.delete()
    assert judge(client, key, input="Hi").status_code == 200
    over = judge(client, key, input="Hi")
    assert (over.status_code, over.json()["error"]["code"]) == (429, "quota_exceeded")
    told = LedgerEntry.objects.order_by("pk").values_list("endpoint", "model_name", "requests", "state")
    assert list(told) == [
        ("/v1/moderations", "judge-1", 0, "failed"),
        ("/v1/moderations", "judge-1", 1, "complete"),
        ("/v1/moderations", "rules", 1, "complete"),
    ]
    assert Reservation.objects.count() == 0
    assert LedgerEntry.objects.filter(api_key=key.key, prompt_tokens=0, cost=0).count() == 3


def test_a_key_for_chats_is_none_for_moderation(client: Client, alice: User, rude: Rule) -> None:
    chats = api_key_create(name="chats", user=alice, scope=KeyScope(endpoints=[Endpoint.CHAT]))
    assert judge(client, chats, input="Hi").status_code == 403


# --- The admin --------------------------------------------------------------------------------------------------------


def test_an_admin_makes_rules_that_hold_at_once_and_none_that_cannot_work(
    client: Client, key: NewKey, worker: FakeWorker
) -> None:
    client.force_login(User.objects.create_superuser("root", "root@example.org", "open sesame"))
    add = reverse("admin:moderation_rule_add")
    made = {"name": "Numbers", "category": "privacy", "kind": "regex", "pattern": "(", "is_active": "on"}
    assert "It is no regular expression" in client.post(add, made).content.decode()
    assert "somebody could not judge" in client.post(add, made | {"category": "unchecked"}).content.decode()
    assert client.post(add, made | {"pattern": r"\d{5}"}).status_code == 302
    reply = post(client, key, "/v1/chat/completions", messages=[{"role": "user", "content": "It is 12345"}])
    assert reply.status_code == 403


def test_a_request_in_the_midst_of_a_change_does_not_hide_it(rude: Rule) -> None:
    with transaction.atomic():
        rude.is_active = False
        rude.save()
        with ThreadPoolExecutor(1) as beside:
            assert beside.submit(read_beside).result() is True
    assert selectors.decided().looks is False


def read_beside() -> bool:
    try:
        return selectors.decided().looks
    finally:
        connections.close_all()


def test_a_classifiers_key_is_asked_for_again_when_its_address_changes(client: Client, server: StandIn) -> None:
    client.force_login(User.objects.create_superuser("root", "root@example.org", "open sesame"))
    row = classifier(server)
    change = reverse("admin:moderation_classifier_change", args=[row.pk])
    fields = {"name": "judge", "base_url": "http://10.0.0.9/v1", "timeout_s": "5", "is_active": "on", "key": ""}
    assert "give the key again" in client.post(change, fields).content.decode()
    assert client.post(change, fields | {"key": "sk-other"}).status_code == 302
    row.refresh_from_db()
    assert row.key == "sk-other"
    assert "sk-other" not in client.get(change).content.decode()
    assert client.post(change, fields).status_code == 302
    row.refresh_from_db()
    assert row.key == "sk-other"


def test_incidents_are_forgotten_in_time() -> None:
    for days in (1, 91):
        Incident.objects.create(surface="api", action="flag", categories=[], found_by=[])
        Incident.objects.filter(pk=Incident.objects.latest("pk").pk).update(
            created_at=timezone.now() - timedelta(days=days)
        )
    assert retention_run() == {Kept.INCIDENTS: 1}
    assert Incident.objects.count() == 1
