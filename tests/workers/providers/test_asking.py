"""Providers in the pool: asked in their own language, read, stopped and left as workers are."""

import asyncio
import threading
from contextlib import aclosing, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry
from apps.workers import relay
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import (
    WorkerDied,
    WorkerRefused,
    WorkerUnreachable,
)
from apps.workers.events import HEARTBEAT
from apps.workers.models import PoolRequest, Worker
from apps.workers.providers import calls
from tests.fake_worker import enrol, fake_worker
from tests.workers.providers.support import BODY, CALL, KEY, USAGE, answer, error, events_of, fresh, piece, text_of
from tests.workers.stand_in import Reply, StandIn, stream, whole


async def test_a_provider_answers_by_its_own_name_for_the_model_and_the_ledger_knows(
    server: StandIn, provider: Worker
) -> None:
    server.replies.append(answer("Hel", "lo"))
    events = await events_of()

    assert "".join(event.text for event in events) == "Hello"
    assert {event.body["model"] for event in events} == {"tiny"}
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "messages": BODY["messages"],
        "model": "theirs",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    entry = await LedgerEntry.objects.aget()
    assert (entry.model_name, entry.prompt_tokens, entry.completion_tokens, entry.is_estimated) == ("tiny", 5, 2, False)
    request = await PoolRequest.objects.aget()
    assert (request.outcome, request.worker_id) == ("answered", provider.pk)
    assert (await fresh(provider)).queue == 0


async def test_whole_answers_and_vectors_are_asked_for_too(server: StandIn, provider: Worker) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    server.replies.append(whole({"id": "x", "model": "theirs", "choices": [choice], "usage": USAGE}))
    told = await relay.complete(CALL)
    assert (told["model"], told["choices"], told["usage"]) == ("tiny", [choice], USAGE)

    vector = {"index": 0, "embedding": [0.5]}
    server.replies.append(whole({"data": [vector], "usage": {"prompt_tokens": 1, "total_tokens": 1}}))
    told = await relay.complete(Call(Actor(), "tiny", {"input": "Hi"}, WorkerPath.EMBEDDINGS))
    assert (told["model"], told["data"]) == ("tiny", [{"object": "embedding", **vector}])
    assert server.asked[-1].body == {"input": "Hi", "model": "theirs"}


async def test_an_option_that_it_does_not_take_is_refused_before_it_is_asked(server: StandIn, provider: Worker) -> None:
    with pytest.raises(WorkerRefused, match="guided_json") as refused:
        await events_of(Call(Actor(), "tiny", BODY | {"guided_json": {}}))
    assert (refused.value.worker_code, refused.value.param) == ("unsupported_parameter", "guided_json")
    assert server.asked == []


COUNT = Call(Actor(), "tiny", {"prompt": "one two"}, WorkerPath.TOKENIZE)


async def test_counting_tokens_is_refused_and_takes_nothing_of_a_providers_minute(
    server: StandIn, provider: Worker
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_requests_per_minute=1)
    for rests_until in (None, timezone.now() + timedelta(minutes=1)):
        await Worker.objects.filter(pk=provider.pk).aupdate(rests_until=rests_until)
        with pytest.raises(WorkerRefused, match="/v1/tokenize"):
            await relay.complete(COUNT)
    state = await fresh(provider)
    assert (server.asked, state.minute_requests, state.queue) == ([], 0, 0)


async def test_a_worker_of_ours_counts_the_tokens_of_a_model_that_a_provider_serves_too(
    server: StandIn, provider: Worker
) -> None:
    with fake_worker() as other:
        row = await sync_to_async(enrol)(other, "tiny")
        await Worker.objects.filter(pk=row.pk).aupdate(reported_queue=50)
        assert (await relay.complete(COUNT))["count"] == 2
        await Worker.objects.filter(pk=row.pk).aupdate(is_drained=True)
        with pytest.raises(WorkerRefused, match="only providers"):
            await relay.complete(COUNT)
    assert (await fresh(provider)).minute_requests == 0


async def test_a_stream_with_other_line_ends_and_without_done_is_read(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi"), piece("", "stop", usage=USAGE), end="\r\n\r\n"))
    events = await events_of()
    assert "".join(event.text for event in events) == "Hi"
    assert await LedgerEntry.objects.filter(completion_tokens=2, is_estimated=False).aexists()


async def test_one_answer_after_the_other_comes_over_one_connection(server: StandIn, provider: Worker) -> None:
    server.keeps_alive = True
    server.replies.extend([answer("Hi"), answer("Hi"), error(400, "no"), answer("Hi")])
    assert [await text_of() for _ in range(2)] == ["Hi", "Hi"]
    with pytest.raises(WorkerRefused):
        await text_of()
    assert await text_of() == "Hi"
    assert server.n_connections == 1


@pytest.mark.parametrize(("finish", "raised"), [("stop", None), (None, WorkerDied)])
async def test_a_connection_that_breaks_after_the_end_of_an_answer_is_an_end(
    server: StandIn, provider: Worker, finish: str | None, raised: type[Exception] | None
) -> None:
    server.keeps_alive = True
    reply = stream(piece("Hi", finish))
    reply.breaks_off = True
    server.replies.append(reply)
    with nullcontext() if raised is None else pytest.raises(raised):
        assert await text_of() == "Hi"


async def test_what_a_provider_keeps_open_after_the_end_holds_up_nobody(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi", "stop"), "[DONE]", threading.Event()))
    async with asyncio.timeout(5):
        assert await text_of() == "Hi"


async def test_a_connection_is_waited_for_like_any_not_like_an_answer(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    build = httpx.AsyncClient.build_request

    def built(client: httpx.AsyncClient, *args: Any, **kwargs: Any) -> httpx.Request:
        request = build(client, *args, **kwargs)
        waits.append(request.extensions["timeout"]["pool"])
        return request

    monkeypatch.setattr(httpx.AsyncClient, "build_request", built)
    server.replies.extend([answer("Hi"), whole({"choices": []})])
    await events_of()
    await relay.complete(CALL)
    assert waits == [calls.CONNECT_TIMEOUT_S] * 2


async def test_a_stream_that_breaks_off_has_died_and_what_came_is_kept(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi")))
    seen: list[str] = []
    with pytest.raises(WorkerDied):
        async with aclosing(relay.generate(CALL, generation_id=uuid4())) as events:
            async for event in events:
                seen.append(event.text)
    assert seen == ["Hi"]


async def test_while_nothing_comes_readers_hear_that_it_is_alive(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "HEARTBEAT_S", 0.01)
    gate = threading.Event()
    server.replies.append(stream(gate, piece("Hi", "stop"), "[DONE]"))
    async with aclosing(relay.generate(CALL)) as events:
        assert await anext(events) is HEARTBEAT
        gate.set()
        rest = [event async for event in events if event is not HEARTBEAT]
    assert [event.text for event in rest] == ["Hi"]


async def test_leaving_a_stream_ends_it_at_the_provider(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi"), threading.Event()))
    async with aclosing(relay.generate(CALL)) as events:
        assert (await anext(events)).text == "Hi"
    assert await asyncio.to_thread(server.hung_up.wait, 10)
    assert (await fresh(provider)).queue == 0


async def test_an_answer_is_stopped_by_its_generation(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi"), threading.Event()))
    generation_id = uuid4()
    async with aclosing(relay.generate(CALL, generation_id=generation_id)) as events:
        assert (await anext(events)).text == "Hi"
        await relay.cancel(await relay.target_get(provider.pk), generation_id)
        assert [event.finish_reason async for event in events] == ["cancelled"]
    assert await asyncio.to_thread(server.hung_up.wait, 10)
    entry = await LedgerEntry.objects.aget()
    assert (entry.state, entry.is_estimated, entry.completion_tokens) == ("stopped", True, 1)
    await relay.cancel(await relay.target_get(provider.pk), generation_id)  # it has ended: nothing to do


DEEP = "[" * 100_000
TOO_LARGE = '{"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": 1e999}]}'
ODD_CONTENT = '{"choices": [{"index": 0, "delta": {"content": 3}}]}'


@pytest.mark.parametrize(
    "nonsense",
    ["{", '"text"', '{"choices": 3}', '{"choices": ["x"]}', DEEP, TOO_LARGE, ODD_CONTENT],
    ids=lambda text: text[:12],
)
async def test_nonsense_is_the_providers_fault(server: StandIn, provider: Worker, nonsense: str) -> None:
    server.replies.append(stream(nonsense))
    with pytest.raises(WorkerUnreachable, match="does not speak"):
        await events_of()
    assert (await fresh(provider)).recent_faults == {"internal": 1}


async def test_a_whole_answer_without_end_is_not_read_to_its_end(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_ANSWER_BYTES", 1000)
    server.replies.append(Reply([b"x" * 600, b"x" * 600, threading.Event()]))
    with pytest.raises(WorkerUnreachable, match="more than 1000 bytes"):
        await relay.complete(CALL)
    assert await asyncio.to_thread(server.hung_up.wait, 10)


@pytest.mark.parametrize("nonsense", [b"[]", b"{", b'{"choices": [3]}', b"\xff"])
async def test_a_whole_answer_that_is_none_is_the_providers_fault(
    server: StandIn, provider: Worker, nonsense: bytes
) -> None:
    server.replies.append(Reply([nonsense]))
    with pytest.raises(WorkerUnreachable, match="does not speak"):
        await relay.complete(CALL)
    assert (await fresh(provider)).recent_faults == {"internal": 1}


async def test_what_cannot_be_stored_is_replaced(server: StandIn, provider: Worker) -> None:
    odd = r'{"id": "x", "choices": [{"index": 0, "delta": {"content": "a\u0000\ud83db"}, "finish_reason": "stop"}]}'
    server.replies.append(stream(odd, "[DONE]"))
    assert await text_of() == "a\N{REPLACEMENT CHARACTER}b"


async def test_what_cannot_be_unpacked_is_the_providers_fault(server: StandIn, provider: Worker) -> None:
    packed = {"Content-Encoding": "gzip", "Content-Type": "text/event-stream"}
    for ask in (events_of, partial(relay.complete, CALL)):
        server.replies.append(Reply([b"no gzip at all"], 200, packed))
        with pytest.raises(WorkerUnreachable, match="does not speak"):
            await ask()
