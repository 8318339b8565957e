"""Providers in the pool: dispatch, breaker, queue and ledger as for workers, with limits and rests of their own."""

import asyncio
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry, Metric
from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.workers import relay
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import (
    PromptTooLong,
    ProviderResting,
    WorkerDied,
    WorkerInternal,
    WorkerOverloaded,
    WorkerRefused,
    WorkerTimedOut,
    WorkerUnreachable,
)
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.fairness import Place
from apps.workers.models import PoolRequest, Worker
from apps.workers.providers import calls
from apps.workers.services import admission, assignments, checks, providers
from apps.workers.tasks import providers_check_task
from tests.accounts.support import limit
from tests.certificates import certificate
from tests.fake_worker import FakeWorker, enrol, fake_worker
from tests.workers.stand_in import Reply, StandIn, standing_in, stream, whole

KEY = "sk-a-key-that-nobody-may-see-0123456789"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
CALL = Call(Actor(), "tiny", BODY)
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


@pytest.fixture
def server(transactional_db: None) -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def provider(server: StandIn) -> Worker:
    """A vLLM that serves `theirs` as `tiny`."""
    worker = providers.provider_create(label="lab", kind="vllm", base_url=server.base_url, key=KEY)
    providers.model_map(worker, name="tiny", upstream_name="theirs", context_length=1000)
    return worker


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    cert, key = certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


@pytest.fixture
def anthropic(transactional_db: None, tls: tuple[ssl.SSLContext, Path], settings: Any) -> Iterator[StandIn]:
    """Speaks as https://docs.claude.com/en/docs/build-with-claude/streaming and /en/api/errors tell; serves `tiny`."""
    settings.OUTBOUND_CA_FILE = str(tls[1])
    with standing_in(tls[0]) as server:
        worker = providers.provider_create(label="anthropic", kind="anthropic", base_url=server.base_url, key=KEY)
        providers.model_map(worker, name="tiny", upstream_name="claude", context_length=1000, longest_answer=64)
        yield server


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": [choice], **more}


def answer(*texts: str) -> Reply:
    events: list[object] = [piece(text) for text in texts]
    return stream(*events, piece("", "stop"), {"id": "x", "choices": [], "usage": USAGE}, "[DONE]")


def error(status: int, message: str, kind: str | None = None, **headers: str) -> Reply:
    return whole({"error": {"message": message, "type": kind, "code": kind}}, status, **headers)


async def events_of(call: Call = CALL, **more: Any) -> list[WorkerEvent]:
    async with aclosing(relay.generate(call, **more)) as events:
        return [event async for event in events]


async def text_of(call: Call = CALL) -> str:
    return "".join(event.text for event in await events_of(call))


async def fresh(worker: Worker) -> Worker:
    return await Worker.objects.aget(pk=worker.pk)


# --- Asking -----------------------------------------------------------------------------------------------------------


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

    vectors = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    server.replies.append(whole(vectors))
    told = await relay.complete(Call(Actor(), "tiny", {"input": "Hi"}, WorkerPath.EMBEDDINGS))
    assert (told["model"], told["data"]) == ("tiny", vectors["data"])
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


# --- Errors -----------------------------------------------------------------------------------------------------------


ODD_WAITS = ["\u00b2".encode("latin-1"), b"9" * 400, b"Fri, 31 Dec 99999999999999999999 23:59:59 GMT", b"1.2.3", b"-1"]


@pytest.mark.parametrize("wait", ODD_WAITS, ids=lambda wait: repr(wait[:20]))
async def test_a_refusal_with_an_odd_time_to_wait_is_still_a_refusal(
    server: StandIn, provider: Worker, wait: bytes
) -> None:
    server.replies.append(error(429, "slow down", Retry_After=wait.decode("latin-1")))
    with pytest.raises(ProviderResting):
        await events_of()
    assert (await fresh(provider)).state(timezone.now()) == "resting"


@pytest.mark.parametrize("told", [b"[" * 100_000, b'{"error": {"type": ' + b"[" * 300 + b"]" * 300 + b"}}", b"\xff"])
async def test_a_refusal_in_odd_words_is_still_a_refusal(server: StandIn, provider: Worker, told: bytes) -> None:
    server.replies.append(Reply([told], 500))
    with pytest.raises(WorkerUnreachable, match="HTTP 500 without an explanation"):
        await events_of()


@pytest.mark.parametrize(
    ("reply", "raised", "words"),
    [
        (error(400, "temperature is too high"), WorkerRefused, "temperature is too high"),
        (error(400, "maximum context length is 10", "context_length_exceeded"), PromptTooLong, "maximum context"),
        (whole({"detail": [{"loc": ["x"]}]}, 422), WorkerRefused, "loc"),
        (whole([{"error": {"message": "listed", "code": 400}}], 400), WorkerRefused, "listed"),
        (whole({"error": "bare", "error_type": "validation"}, 422), WorkerRefused, "bare"),
        (error(404, "no such model"), WorkerUnreachable, "no such model"),
        (error(500, "broken"), WorkerUnreachable, "broken"),
        (Reply([b"<html>"], 502), WorkerUnreachable, "HTTP 502 without an explanation"),
        (error(503, "busy", Retry_After="9"), WorkerOverloaded, "9 seconds"),
        (Reply([], 302, {"Location": "http://127.0.0.1:9/"}), WorkerUnreachable, "redirects"),
    ],
    ids=lambda value: value.status if isinstance(value, Reply) else "",
)
async def test_what_a_provider_refuses_is_told_as_what_it_is(
    server: StandIn, provider: Worker, reply: Reply, raised: type[SiteError], words: str
) -> None:
    server.replies.append(reply)
    with pytest.raises(raised, match=words):
        await events_of()
    assert len(server.asked) == 1
    faults = {"internal": 1} if reply.status in {500, 502} else {}
    assert (await fresh(provider)).recent_faults == faults


@pytest.mark.parametrize("reply", [error(404, "no such model"), Reply([], 302, {"Location": "http://127.0.0.1:9/"})])
async def test_what_a_provider_does_not_have_is_asked_for_once(
    server: StandIn, provider: Worker, reply: Reply, settings: Any
) -> None:
    settings.WORKER_PATIENCE_S = 3.0
    server.replies.extend([reply] * 20)
    with pytest.raises(WorkerUnreachable):
        await events_of()
    assert len(server.asked) == 1
    assert (await fresh(provider)).minute_requests == 1


async def test_a_provider_that_is_silent_is_not_asked_a_second_time(
    server: StandIn, provider: Worker, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKER_PATIENCE_S = 5.0
    monkeypatch.setattr(calls, "SILENCE_S", 0.2)
    server.replies.extend(stream(threading.Event()) for _ in range(20))
    with pytest.raises(WorkerTimedOut):
        await events_of()
    assert len(server.asked) == 1


@pytest.mark.parametrize("wait", ["30", "date"])
async def test_a_rate_limit_is_honoured_tried_elsewhere_and_no_fault(
    server: StandIn, provider: Worker, wait: str
) -> None:
    told = format_datetime(timezone.now() + timedelta(seconds=30)) if wait == "date" else wait
    server.replies.append(error(429, "slow down", "rate_limit_exceeded", Retry_After=told))
    with pytest.raises(ProviderResting, match=r"Try again in (29|30|31) seconds"):
        await events_of()
    state = await fresh(provider)
    assert (state.recent_faults, state.cooling_until, "slow down" in state.last_error) == ({}, None, True)
    assert state.state(timezone.now()) == "resting"

    with pytest.raises(ProviderResting, match="'tiny'"):
        await events_of()
    assert len(server.asked) == 1, "nobody asks it before"

    with fake_worker() as other:
        await sync_to_async(enrol)(other, "tiny")
        assert await text_of() == "Hello there."
    await Worker.objects.filter(pk=provider.pk).aupdate(rests_until=timezone.now())
    await Worker.objects.exclude(pk=provider.pk).aupdate(removed_at=timezone.now())
    server.replies.append(answer("again"))
    assert await text_of() == "again"


def test_of_two_refusals_the_longer_rest_counts(provider: Worker) -> None:
    for wait_s in (5, 300, 10):
        assignments.provider_rest(provider.pk, wait_s, "slow down")
    provider.refresh_from_db()
    assert provider.rests_until is not None
    assert provider.rests_until > timezone.now() + timedelta(seconds=250)


async def test_a_caller_who_leaves_a_whole_answer_ends_it_at_the_provider(server: StandIn, provider: Worker) -> None:
    server.replies.append(Reply([threading.Event()]))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await relay.complete(CALL)
    assert await asyncio.to_thread(server.hung_up.wait, 10)
    assert (await fresh(provider)).queue == 0


async def test_a_worker_of_ours_takes_what_a_limited_provider_does_not(server: StandIn, provider: Worker) -> None:
    with fake_worker() as other:
        row = await sync_to_async(enrol)(other, "tiny")
        await Worker.objects.filter(pk=row.pk).aupdate(reported_queue=5)  # so the provider is asked first
        server.replies.append(error(429, "slow down"))
        assert await text_of() == "Hello there."
        request = await PoolRequest.objects.aget()
        assert (request.worker_id, "slow down" in str(request.attempts)) == (row.pk, True)


@pytest.mark.parametrize(
    "reply", [error(401, f"Incorrect API key provided: {KEY}"), error(429, "", "insufficient_quota")]
)
async def test_a_key_that_is_refused_rests_the_provider_and_is_told_to_admins_without_it(
    server: StandIn, provider: Worker, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies.append(reply)
    with pytest.raises(ProviderResting) as refused:
        await events_of()
    state = await fresh(provider)
    assert state.rests_until is not None
    assert "key" in state.last_error or "money" in state.last_error
    for told in (refused.value.message, state.last_error, caplog.text, str(await PoolRequest.objects.aget())):
        assert KEY not in told
        assert "Incorrect" not in told


async def test_a_provider_that_repeats_the_key_does_not_leak_it(
    server: StandIn, provider: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies.append(error(400, f"header was Bearer {KEY}"))
    with pytest.raises(WorkerRefused, match=r"Bearer \[key\]"):
        await events_of()
    server.replies.append(error(500, f"crashed on {KEY}"))
    with pytest.raises(WorkerUnreachable) as failed:
        await events_of()
    assert KEY not in failed.value.message + caplog.text + (await fresh(provider)).last_error


@pytest.mark.parametrize(
    ("told", "raised", "rest_s"),
    [
        ({"message": "slow down", "code": 429}, ProviderResting, 10),
        ({"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}, ProviderResting, 10),
        ({"message": "slow down", "code": "429"}, ProviderResting, 10),
        ({"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}, ProviderResting, 60),
        ({"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}, ProviderResting, 60),
        ({"message": "no", "type": "authentication_error"}, ProviderResting, 60),
        ({"message": "no", "code": 403}, ProviderResting, 60),
        ({"message": "busy", "code": 503}, WorkerOverloaded, 0),
        ({"message": "too hot", "code": 400, "type": "BadRequestError"}, WorkerRefused, 0),
        ({"message": "too hot", "type": "invalid_request_error"}, WorkerRefused, 0),
        ({"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}, PromptTooLong, 0),
        ({"message": "no such model", "code": "model_not_found"}, WorkerUnreachable, 0),
        ({"message": "broken", "code": "server_error"}, WorkerUnreachable, 0),
        ("broken", WorkerUnreachable, 0),
    ],
    ids=str,
)
async def test_an_error_in_a_stream_means_what_its_status_would(
    server: StandIn, provider: Worker, told: object, raised: type[SiteError], rest_s: int
) -> None:
    server.replies.append(stream({"error": told}))
    with pytest.raises(raised):
        await events_of()
    until, now = (await fresh(provider)).rests_until, timezone.now()
    assert (0 if until is None else round((until - now).total_seconds(), -1)) == rest_s


async def test_an_error_in_mid_stream_is_told_with_the_models_name(server: StandIn, provider: Worker) -> None:
    server.replies.append(stream(piece("Hi"), {"error": {"message": "slow down", "code": 429}}))
    with pytest.raises(ProviderResting, match="'tiny'"):
        await events_of()


async def test_a_key_that_is_refused_as_an_invalid_request_rests_the_provider(
    server: StandIn, provider: Worker
) -> None:
    """Source: Google, Gemini API, "Troubleshooting": 400 INVALID_ARGUMENT with reason API_KEY_INVALID."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    told = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
    server.replies.append(whole([{"error": told}], 400))
    with pytest.raises(ProviderResting):
        await events_of()
    assert "does not accept the site's key" in (await fresh(provider)).last_error


ENDS = f"{KEY[:8]}***********{KEY[-4:]}"
SHORT_ENDS = f"{KEY[:3]}...{KEY[-4:]}"


@pytest.mark.parametrize("quoted", [KEY, KEY[:20], KEY[-12:], ENDS, SHORT_ENDS])
@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_provider_that_quotes_a_part_of_the_key_does_not_leak_it(
    server: StandIn, provider: Worker, caplog: pytest.LogCaptureFixture, quoted: str, in_stream: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    told = {"error": {"message": f"cannot use '{quoted}', key={quoted}.", "code": 429, "param": quoted}}
    server.replies.append(stream(told) if in_stream else whole(told, 429))
    with pytest.raises(ProviderResting):
        await events_of()
    server.replies.append(whole(told | {"error": told["error"] | {"code": 400}}, 400))
    await Worker.objects.filter(pk=provider.pk).aupdate(rests_until=None)
    with pytest.raises(WorkerRefused, match="cannot use") as refused:
        await events_of()
    attempts = str((await PoolRequest.objects.afirst()).attempts)  # type: ignore[union-attr]
    said = refused.value.message + str(refused.value.param) + caplog.text + attempts
    assert quoted not in said + (await fresh(provider)).last_error


async def test_a_dead_provider_cools_down_as_any_worker(server: StandIn, provider: Worker) -> None:
    server.server_close()
    with pytest.raises(WorkerUnreachable):
        await events_of()
    assert (await fresh(provider)).state(timezone.now()) == "cooling"


async def test_a_key_that_cannot_be_decrypted_is_not_replaced_by_none(
    server: StandIn, transactional_db: None, tls: Any, settings: Any
) -> None:
    worker = await sync_to_async(providers.provider_create)(
        label="v", kind="openai", base_url=server.base_url.replace("http:", "https:"), key=KEY
    )
    await sync_to_async(providers.model_map)(worker, name="tiny", upstream_name="theirs")
    settings.ENCRYPTION_KEYS = ["x" * 40]
    with pytest.raises(ProviderResting):
        await events_of()
    assert server.asked == []
    assert "decrypted" in (await fresh(worker)).last_error


# --- Limits -----------------------------------------------------------------------------------------------------------


async def test_requests_a_minute_are_never_exceeded_and_the_next_is_told_when(
    server: StandIn, provider: Worker
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_requests_per_minute=3)
    server.replies.extend(answer("Hi") for _ in range(8))
    done = await asyncio.gather(*(text_of() for _ in range(8)), return_exceptions=True)
    # Around the turn of a minute there are two minutes.
    assert len(server.asked) in {3, 6}
    refused = [outcome for outcome in done if outcome != "Hi"]
    assert refused
    assert all(isinstance(one, ProviderResting) for one in refused)
    assert all(1 <= int(str(one.details["retry_after_s"])) <= 60 for one in refused)  # type: ignore[union-attr]


async def test_tokens_a_minute_stop_the_next_request(server: StandIn, provider: Worker) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=7)
    server.replies.append(answer("Hi"))
    assert await text_of() == "Hi"
    state = await fresh(provider)
    assert (state.minute_tokens, state.minute_requests) == (7, 1)
    frozen = state.minute_starts_at
    assert frozen is not None
    assert state.resting_until(frozen + timedelta(seconds=59)) == frozen + timedelta(minutes=1)
    assert state.resting_until(frozen + timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("usage", "n_tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, 7),
        ({"total_tokens": 10**30}, 2**31 - 1),
        ({"prompt_tokens": 5, "total_tokens": -5}, 5),
    ],
)
async def test_tokens_a_minute_grow_by_what_can_be_read_of_the_usage(
    server: StandIn, provider: Worker, usage: dict[str, int], n_tokens: int
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100)
    server.replies.append(stream(piece("Hi", "stop"), {"choices": [], "usage": usage}, "[DONE]"))
    assert await text_of() == "Hi"
    assert (await PoolRequest.objects.aget()).outcome == "answered"
    assert (await fresh(provider)).minute_tokens == n_tokens


LONG = Call(Actor(), "tiny", {"messages": [{"role": "user", "content": "x" * 400}]})


async def test_an_answer_that_is_stopped_counts_about_what_it_used(server: StandIn, provider: Worker) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    generation_id = uuid4()
    server.replies.append(stream(*map(piece, "a" * 50), threading.Event()))
    async with aclosing(relay.generate(LONG, generation_id=generation_id)) as events:
        assert "".join([(await anext(events)).text for _ in range(50)]) == "a" * 50
        await relay.cancel(await relay.target_get(provider.pk), generation_id)
        assert [event.finish_reason async for event in events] == ["cancelled"]
    assert 150 < (await fresh(provider)).minute_tokens < 170, "a token for four bytes of the prompt, and each piece"


async def test_a_whole_answer_that_nobody_waits_for_counts_its_prompt(server: StandIn, provider: Worker) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    server.replies.append(Reply([threading.Event()]))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await relay.complete(LONG)
    assert 100 < (await fresh(provider)).minute_tokens < 120


@pytest.mark.parametrize("reply", [error(400, "no"), error(429, "slow down"), error(500, "broken")])
async def test_what_is_refused_uses_no_tokens(server: StandIn, provider: Worker, reply: Reply) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100)
    server.replies.append(reply)
    with pytest.raises(SiteError):
        await events_of()
    assert (await fresh(provider)).minute_tokens == 0


async def test_no_more_run_at_once_than_allowed_over_all_models_and_others_wait(
    server: StandIn, provider: Worker
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_running=1)
    await sync_to_async(providers.model_map)(provider, name="large", upstream_name="theirs-large")
    gate = threading.Event()
    server.replies.extend([stream(piece("one"), gate, piece("", "stop"), "[DONE]"), answer("two")])
    async with aclosing(relay.generate(CALL)) as events:
        assert (await anext(events)).text == "one"
        has_place = asyncio.Event()

        async def placed(place: Place) -> None:
            has_place.set()

        waiting = asyncio.create_task(text_of(Call(Actor(), "large", BODY, on_place=placed)))
        await has_place.wait()
        assert len(server.asked) == 1
        gate.set()
        async for _ in events:
            pass
    assert await waiting == "two"
    assert [asked.body["model"] for asked in server.asked] == ["theirs", "theirs-large"]


async def test_limits_of_people_hold_with_a_bound_and_settle_with_what_was_used(
    server: StandIn, provider: Worker, alice: Any
) -> None:
    await sync_to_async(limit)(900, Metric.TOKENS, user=alice)
    call = Call(Actor(user_id=alice.pk), "tiny", BODY)
    server.replies.append(answer("Hi"))
    await events_of(call)
    asked = server.asked[0].body["max_tokens"]
    n_bound = 900 - asked
    assert 5 <= n_bound < 200, "the prompt is bounded by its bytes"
    entry = await LedgerEntry.objects.aget()
    assert (entry.prompt_tokens, entry.completion_tokens) == (5, 2)
    server.replies.append(answer("Hi"))
    await events_of(call)
    assert server.asked[1].body["max_tokens"] == asked - 7


async def test_many_at_once_over_two_models_never_exceed_what_may_run(server: StandIn, provider: Worker) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_running=2)
    await sync_to_async(providers.model_map)(provider, name="large", upstream_name="theirs-large")
    server.replies.extend(answer("Hi") for _ in range(24))
    calls_made = [Call(Actor(is_installation=True), model, BODY) for model in ("tiny", "large") * 12]
    assert set(await asyncio.gather(*map(text_of, calls_made))) == {"Hi"}
    assert server.most_running == 2
    assert (await fresh(provider)).queue == 0


def second_choice(server: StandIn) -> Worker:
    """A provider of `tiny` and `large` that takes one request at a time, and is asked after the other one."""
    worker = providers.provider_create(label="spare", kind="vllm", base_url=server.base_url)
    for name in ("tiny", "large"):
        providers.model_map(worker, name=name, upstream_name=name)
    Worker.objects.filter(pk=worker.pk).update(max_running=1, reported_queue=50)
    return worker


async def test_failing_over_never_exceeds_what_may_run_at_once(server: StandIn, provider: Worker) -> None:
    with standing_in() as spare:
        await sync_to_async(second_choice)(spare)
        spare.replies.append(stream(piece("one"), threading.Event()))
        async with aclosing(relay.generate(Call(Actor(), "large", BODY))) as events:
            assert (await anext(events)).text == "one"
            server.replies.append(error(500, "broken"))
            with pytest.raises(WorkerOverloaded, match="'tiny'"):
                await events_of()
        assert [len(server.asked), len(spare.asked)] == [1, 1]
        assert (await PoolRequest.objects.alatest("pk")).attempts[0]["cause"] == "broken"


async def test_failing_over_waits_for_room_at_the_only_one_that_is_left(
    server: StandIn, provider: Worker, settings: Any
) -> None:
    settings.WORKER_PATIENCE_S = 10.0
    with standing_in() as spare:
        row = await sync_to_async(second_choice)(spare)
        spare.replies.extend(answer("Hi") for _ in range(4))
        server.replies.extend(error(500, "broken") for _ in range(4))
        done = await asyncio.gather(*(text_of(Call(Actor(is_installation=True), "tiny", BODY)) for _ in range(4)))
        assert done == ["Hi"] * 4
        assert [len(server.asked), spare.most_running] == [4, 1]
        assert (await fresh(row)).assigned_since_report == 0


@pytest.mark.parametrize("limits", [{}, {"max_requests_per_minute": 5}])
def test_admission_to_a_provider_costs_no_more_queries_than_to_a_worker(
    server: StandIn, provider: Worker, limits: dict[str, int]
) -> None:
    Worker.objects.filter(pk=provider.pk).update(**limits)
    enrol(FakeWorker(), "ours")

    def entered(name: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            found = admission.request_enter(Call(Actor(), name, BODY), trace_id="", generation_id=None)
        assert found.target is not None
        return len(asked)

    assert entered("tiny") == entered("ours")


async def test_one_who_has_waited_is_asked_for_by_the_providers_name(server: StandIn, provider: Worker) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_running=1)
    gate = threading.Event()
    server.replies.extend([stream(piece("one"), gate, piece("", "stop"), "[DONE]"), answer("two")])
    async with aclosing(relay.generate(CALL)) as events:
        assert (await anext(events)).text == "one"
        waiting = asyncio.create_task(text_of())
        while not await PoolRequest.objects.filter(state="waiting").aexists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        gate.set()
        async for _ in events:
            pass
    assert await waiting == "two"
    assert [asked.body["model"] for asked in server.asked] == ["theirs", "theirs"]


# --- Checks -----------------------------------------------------------------------------------------------------------


def test_a_check_finds_what_is_broken_before_somebody_asks(server: StandIn, provider: Worker) -> None:
    server.replies.append(whole({"data": []}))
    assert checks.providers_check() == 1
    provider.refresh_from_db()
    assert provider.checked_at is not None
    assert (server.asked[0].path, server.asked[0].headers["authorization"]) == ("/v1/models", f"Bearer {KEY}")

    server.replies.append(error(401, f"Incorrect API key provided: {KEY}"))
    assert checks.providers_check() == 0
    provider.refresh_from_db()
    assert "does not accept the site's key" in provider.last_error
    server.replies.append(error(500, "broken"))
    assert checks.provider_check(provider) == "broken"


NO_LISTS = [
    error(401, "Missing scopes: api.model.read"),
    error(403, "Missing scopes: api.model.read"),
    error(404, "no such page"),
    error(405, "no"),
    error(400, "no"),
    error(429, "slow down", Retry_After="300"),
    Reply([], 302, {"Location": "http://127.0.0.1:9/"}),
    Reply([b"<html>It works!</html>"]),
    whole({"object": "list"}),
    whole({"data": "none"}),
    whole("models"),
]


@pytest.mark.parametrize("reply", NO_LISTS, ids=lambda reply: str(reply.status))
def test_a_provider_that_does_not_tell_its_models_is_not_well_and_goes_on_serving(
    server: StandIn, provider: Worker, reply: Reply
) -> None:
    """Restricted keys of OpenAI's may complete and not list, which it refuses with 401 or 403."""
    server.replies.append(reply)
    assert checks.provider_check(provider) != ""
    provider.refresh_from_db()
    assert (provider.checked_at, provider.recent_faults) == (None, {})
    assert provider.state(timezone.now()) == "serving"


@pytest.mark.parametrize("told", [{"data": []}, [{"id": "theirs"}], {"models": [], "data": []}], ids=str)
def test_a_list_of_models_has_one_of_the_forms_that_servers_send(
    server: StandIn, provider: Worker, told: object
) -> None:
    server.replies.append(whole(told))
    assert checks.provider_check(provider) == ""


def test_a_check_ends_though_the_list_does_not(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LIST_WITHIN_S", 0.3)
    monkeypatch.setattr(calls, "MAX_LIST_BYTES", 1000)
    server.replies.append(Reply([b'{"data": [', threading.Event()]))
    assert checks.provider_check(provider) == "no whole list of models within 0.3 s"
    server.replies.append(Reply([b"[" * 600, b"[" * 600]))
    assert checks.provider_check(provider) == "the provider's answer has more than 1000 bytes"


@pytest.mark.parametrize("pieces", [[b'{"error": ', threading.Event()], [b" " * 600, b" " * 600, threading.Event()]])
async def test_a_refusal_without_end_is_a_refusal(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes | threading.Event]
) -> None:
    monkeypatch.setattr(calls, "REFUSAL_WITHIN_S", 0.3)
    monkeypatch.setattr(calls, "MAX_REFUSAL_BYTES", 1000)
    server.replies.append(Reply(pieces, 429))
    with pytest.raises(ProviderResting):
        await events_of()


def test_a_provider_that_cannot_be_checked_keeps_no_other_from_it(
    server: StandIn, provider: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    providers.provider_create(label="odd", kind="vllm", base_url="http://xn--a/v1")
    server.replies.append(whole({"data": []}))
    assert checks.providers_check() == 1
    assert "odd could not be checked" in caplog.text
    provider.refresh_from_db()
    assert provider.checked_at is not None


def test_a_check_sets_right_what_a_process_that_died_left(server: StandIn, provider: Worker) -> None:
    Worker.objects.filter(pk=provider.pk).update(assigned_since_report=7)
    server.replies.append(whole({"data": []}))
    assert providers_check_task() == 1
    provider.refresh_from_db()
    assert provider.queue == 0


# --- Anthropic --------------------------------------------------------------------------------------------------------

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


# --- Addresses --------------------------------------------------------------------------------------------------------


async def test_a_name_that_leads_to_forbidden_addresses_is_not_called(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*args: object, **kwargs: object) -> list[Any]:
        return [(2, 1, 6, "", ("169.254.169.254", 80))]

    moved = sync_to_async(providers.provider_change)
    await moved(provider, base_url="http://metadata.example/v1", key=KEY)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(WorkerUnreachable, match=r"169\.254\.169\.254"):
        await events_of()


async def test_a_provider_moved_past_the_site_gets_no_key(server: StandIn, provider: Worker) -> None:
    with standing_in() as elsewhere:
        await Worker.objects.filter(pk=provider.pk).aupdate(base_url=elsewhere.base_url)
        elsewhere.replies.append(error(401, "no key"))
        with pytest.raises(ProviderResting):
            await events_of()
        assert KEY not in str(elsewhere.asked)
