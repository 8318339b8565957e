"""Anthropic in the pool. Its events follow its documentation: "Streaming messages", "Errors"."""

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import pytest

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry
from apps.core.errors import SiteError
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.errors import (
    PromptTooLong,
    ProviderResting,
    WorkerDied,
    WorkerInternal,
    WorkerOverloaded,
    WorkerRefused,
    WorkerUnreachable,
)
from apps.workers.models import Worker
from tests.workers.providers.support import BODY, CALL, KEY, events_of, text_of
from tests.workers.stand_in import StandIn, stream, whole

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "stop_reason": None,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
}  # fmt: skip
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": index, "content_block": content}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


def text_delta(text: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": text}


def ending(reason: str, n_tokens: int) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": n_tokens}}, STOP]


async def test_an_answer_of_anthropics_comes_as_chunks(anthropic: StandIn) -> None:
    said = block(0, {"type": "text", "text": ""}, text_delta("Hel"), text_delta("lo"))
    anthropic.replies.append(stream(START, PING, *said, *ending("end_turn", 15)))
    events = await events_of(Call(Actor(), "tiny", BODY | {"stream_options": {"include_usage": True}}))

    deltas = [event.body["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}]
    assert [event.finish_reason for event in events if event.finish_reason] == ["stop"]
    assert {(event.body["id"], event.body["object"], event.body["model"]) for event in events} == {
        ("msg_1", "chat.completion.chunk", "tiny")
    }
    assert events[-1].usage == {
        "prompt_tokens": 30,
        "completion_tokens": 15,
        "total_tokens": 45,
        "prompt_tokens_details": {"cached_tokens": 5},
    }
    [asked] = anthropic.asked
    assert (asked.path, asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (
        "/v1/messages", KEY, "2023-06-01",
    )  # fmt: skip
    assert "authorization" not in asked.headers
    assert (asked.body["model"], asked.body["max_tokens"]) == ("claude", 64)


async def test_tools_are_called_argument_by_argument(anthropic: StandIn) -> None:
    def json_delta(text: str) -> dict[str, Any]:
        return {"type": "input_json_delta", "partial_json": text}

    first = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    second = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}
    anthropic.replies.append(
        stream(
            START,
            *block(0, {"type": "text", "text": ""}, text_delta("I look.")),
            *block(1, first, json_delta(""), json_delta('{"in": '), json_delta('"Rome"}')),
            *block(2, second, json_delta("")),
            *ending("tool_use", 30),
        )
    )
    events = await events_of()
    calls_of: dict[int, dict[str, str]] = {}
    for event in events:
        for choice in event.body["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                known = calls_of.setdefault(call["index"], {"arguments": ""})
                known |= {"id": call["id"], "name": call["function"]["name"]} if "id" in call else {}
                known["arguments"] += call["function"]["arguments"]
    assert calls_of == {
        0: {"id": "toolu_1", "name": "weather", "arguments": '{"in": "Rome"}'},
        1: {"id": "toolu_2", "name": "now", "arguments": "{}"},
    }
    assert [event.finish_reason for event in events if event.finish_reason] == ["tool_calls"]


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("kind", "raised"),
    [("overloaded_error", WorkerOverloaded), ("api_error", WorkerInternal), ("rate_limit_error", ProviderResting)],
)
async def test_an_error_in_mid_stream_is_raised_and_what_came_is_kept(
    anthropic: StandIn, kind: str, raised: type[SiteError]
) -> None:
    said = block(0, {"type": "text", "text": ""}, text_delta("Hel"))[:-1]
    anthropic.replies.append(stream(START, *said, anthropic_error(kind, "Overloaded")))
    seen: list[str] = []
    with pytest.raises(raised):
        async with aclosing(relay.generate(CALL)) as events:
            async for event in events:
                seen.append(event.text)
    assert "".join(seen) == "Hel"
    worker = await Worker.objects.aget()
    assert worker.recent_faults == ({"internal": 1} if kind == "api_error" else {})
    assert (worker.rests_until is not None) == (kind == "rate_limit_error")


@pytest.mark.parametrize(
    ("status", "kind", "message", "raised"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", PromptTooLong),
        (400, "invalid_request_error", "max_tokens: too many", WorkerRefused),
        (413, "request_too_large", "Request exceeds the maximum size", WorkerRefused),
        (429, "rate_limit_error", "slow down", ProviderResting),
        (500, "api_error", "Internal server error", WorkerUnreachable),
        (529, "overloaded_error", "Overloaded", WorkerOverloaded),
    ],
)
async def test_anthropics_refusals_are_told_as_what_they_are(
    anthropic: StandIn, status: int, kind: str, message: str, raised: type[SiteError]
) -> None:
    anthropic.replies.append(whole(anthropic_error(kind, message), status))
    with pytest.raises(raised):
        await events_of()
    worker = await Worker.objects.aget()
    assert worker.recent_faults == ({"internal": 1} if status == 500 else {})


async def test_a_whole_answer_of_anthropics_is_told_and_paid_for(anthropic: StandIn) -> None:
    said = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip
    anthropic.replies.append(whole(said))
    told = await relay.complete(CALL)
    assert (told["model"], told["choices"][0]["message"]) == ("tiny", {"role": "assistant", "content": "Hello"})
    entry = await LedgerEntry.objects.aget()
    assert (entry.prompt_tokens, entry.completion_tokens, entry.is_estimated) == (3, 2, False)


async def test_an_answer_of_anthropics_ends_with_its_last_event(anthropic: StandIn) -> None:
    anthropic.keeps_alive = True
    said = [START, *block(0, {"type": "text", "text": ""}, text_delta("Hi")), *ending("end_turn", 2)]
    anthropic.replies.extend([stream(*said), stream(*said), stream(*said, threading.Event())])
    async with asyncio.timeout(5):
        assert [await text_of() for _ in range(3)] == ["Hi"] * 3
    assert anthropic.n_connections == 1


async def test_a_stream_without_its_last_event_was_cut(anthropic: StandIn) -> None:
    anthropic.replies.append(stream(START, *block(0, {"type": "text", "text": ""}, text_delta("Hel"))))
    with pytest.raises(WorkerDied):
        await events_of()
