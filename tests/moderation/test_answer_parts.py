"""The parts of an answer, each in its place: thoughts, text, refusals, calls; and answers that end without a word."""

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.accounts.services import NewKey
from apps.moderation.actions import REMOVED
from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Surface
from apps.moderation.models import Incident, Policy, Rule
from apps.openai_api.opening import Opening
from apps.openai_api.responses.assembly import Assembly
from apps.workers.call import Call
from apps.workers.errors import WorkerDied, WorkerInternal
from apps.workers.events import HEARTBEAT, WorkerEvent
from tests.conversations.pages import open_page
from tests.fake_worker import Fail, FakeWorker, Gate
from tests.moderation.conftest import MODEL, classifier, verdict
from tests.socket_page import cookies_of
from tests.workers.stand_in import StandIn, whole

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "It goes on and on. " * 40
CALL = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
Delta = dict[str, Any]


def policy(action: str, surface: str = "api") -> None:
    Policy.objects.create(surface=surface, direction="out", action=action)


def chunk(delta: Delta, **choice: Any) -> Delta:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, **choice}]}


USAGE: Delta = {"id": "x", "choices": [], "usage": {"completion_tokens": 3}}


async def events_of(*bodies: Delta, then: Exception | None = None) -> AsyncGenerator[WorkerEvent, None]:
    for number, body in enumerate(bodies, 1):
        yield WorkerEvent(number, json.dumps(body), body)
    if then is not None:
        raise then


def answer_gate() -> AnswerGate:
    return AnswerGate(surface=Surface.API, actor=Actor())


async def shown(*bodies: Delta) -> list[Delta]:
    events = [event async for event in answer_gate().events(events_of(*bodies))]
    assert [json.loads(event.data) for event in events] == [event.body for event in events]
    return [event.body for event in events]


async def incidents() -> list[tuple[str, list[str]]]:
    return await sync_to_async(lambda: [(i.action, i.categories) for i in Incident.objects.order_by("pk")])()


def said(bodies: list[Delta], name: str) -> str:
    return "".join(choice["delta"].get(name) or "" for body in bodies for choice in body["choices"])


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "refusal"])
async def test_thoughts_and_refusals_pass_the_gate_too(rude: Rule, name: str, closing: None) -> None:
    await sync_to_async(policy)("redact")
    told = await shown(
        chunk({name: "Oh bot"}), chunk({name: "her, so"}), chunk({"content": "Yes"}), chunk({}, finish_reason="stop")
    )
    assert said(told, name) == f"Oh {REMOVED}, so"
    assert said(told, "content") == "Yes"
    assert await incidents() == [("redact", ["rude"])]


async def test_thoughts_that_are_refused_end_the_answer(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("refuse")
    told = await shown(
        chunk({"reasoning_content": "Oh bother"}), chunk({"content": "Yes"} | CALL, finish_reason="stop")
    )
    assert (said(told, "reasoning_content"), said(told, "content")) == ("", "")
    assert [choice.get("finish_reason") for body in told for choice in body["choices"]] == [None, "content_filter"]
    assert "tool_calls" not in json.dumps(told)


async def test_a_whole_answers_thoughts_are_judged_and_its_calls_withheld_with_it(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("refuse")
    message = {"role": "assistant", "reasoning_content": "Hm", "content": "bother", "unknown": "bother", **CALL}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls", "token_ids": [1]}]}
    assert (await answer_gate().whole(answer))["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "reasoning_content": "Hm", "content": ""},
            "finish_reason": "content_filter",
        }
    ]


async def test_what_was_held_back_comes_before_the_call_that_follows_it(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("redact")
    bodies = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "I think"}),
        chunk({"content": "Let me bother"}),
        chunk(CALL),
        chunk({}, finish_reason="tool_calls"),
        USAGE,
    ]
    told = await shown(*bodies)
    assembly = Assembly(uuid4())
    for body in told:
        assembly.feed(body)
    output = assembly.close()[1].output
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert output[0]["content"][0]["text"] == "I think"
    assert output[1]["content"][0]["text"] == f"Let me {REMOVED}"
    assert told[-1] == USAGE


async def test_with_a_classifier_each_part_is_judged_when_it_is_there(server: StandIn, closing: None) -> None:
    await sync_to_async(classifier)(server)
    await sync_to_async(policy)("refuse")
    server.replies += [whole({"results": [verdict(hate=False)]}), whole({"results": [verdict(hate=True)]})]
    told = await shown(
        chunk({"reasoning_content": "I think"}), chunk({"content": "Grr"}), chunk(CALL, finish_reason="stop")
    )
    assert (said(told, "reasoning_content"), said(told, "content")) == ("I think", "")
    assert [asked.body["input"] for asked in server.asked] == [["I think"], ["Grr"]]
    assert told[-1]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("last", [[], [USAGE]])
async def test_an_answer_that_ends_without_a_word_is_shown_to_its_end_and_written_down(
    rude: Rule, last: list[Delta], closing: None
) -> None:
    await sync_to_async(policy)("redact")
    told = await shown(chunk({"content": "Oh bother, "}), chunk({"content": "again"}), *last)
    assert said(told, "content") == f"Oh {REMOVED}, again"
    assert told[len(told) - len(last) :] == last
    assert await incidents() == [("redact", ["rude"])]


async def test_a_text_completion_that_ends_without_a_word_too(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("refuse")
    body = {
        "choices": [
            {"index": index, "text": text, "finish_reason": None} for index, text in enumerate(["Fine", "bother"])
        ]
    }
    rest = (await shown(body))[-1]["choices"]
    assert rest == [{"index": 0, "text": "Fine"}, {"index": 1, "finish_reason": "content_filter", "text": ""}]
    assert await incidents() == [("refuse", ["rude"])]


async def test_an_answer_that_says_no_text_where_one_should_be_is_not_passed_on(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("redact")
    with pytest.raises(WorkerInternal):
        await shown(chunk({"content": [{"type": "text", "text": "bother"}]}))


async def test_what_was_found_before_an_answer_broke_off_is_written_down_once(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("refuse")
    gate = answer_gate()
    with pytest.raises(WorkerDied):
        async for _ in gate.events(events_of(chunk({"content": f"bother {LONG}"}), then=WorkerDied())):
            pass
    assert await incidents() == []
    await gate.close()
    await gate.close()
    assert await incidents() == [("refuse", ["rude"])]


async def test_a_program_that_leaves_a_refused_stream_leaves_an_incident(
    key: NewKey, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("refuse")
    written = Gate()
    worker.play(f"bother {LONG}", written)
    actor = Actor(user_id=key.key.user_id, api_key_id=key.key.pk)
    opening = Opening(Call(actor, MODEL, {"messages": [{"role": "user", "content": "Hi"}]}))
    await opening.first()
    assert (await anext(opening.events)).text == ""
    await opening.aclose()
    assert await incidents() == [("refuse", ["rude"])]


async def test_an_answer_of_the_chat_that_fails_leaves_an_incident(
    alice: User, worker: FakeWorker, rude: Rule, closing: None
) -> None:
    await sync_to_async(policy)("flag", "chat")
    worker.play(f"bother {LONG}", Fail())
    async with open_page(await sync_to_async(cookies_of)(alice)) as page:
        assert (await page.until_end((await page.ask("Hi"))["generation"])).state == "failed"
    assert await incidents() == [("flag", ["rude"])]


async def test_heartbeats_pass_while_an_answer_is_held(rude: Rule, closing: None) -> None:
    await sync_to_async(policy)("redact")

    async def events() -> AsyncGenerator[WorkerEvent, None]:
        yield HEARTBEAT
        yield WorkerEvent(1, "", chunk({"content": "Well"}))
        yield HEARTBEAT

    told = [event async for event in answer_gate().events(events())]
    assert [event is HEARTBEAT for event in told] == [True, False, True, False]
