"""What a provider refuses or fails at: whose fault it is, who rests, who is tried, and that no key gets out."""

import asyncio
import logging
import threading
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from apps.core.errors import SiteError
from apps.workers import relay
from apps.workers.errors import (
    PromptTooLong,
    ProviderLoading,
    ProviderResting,
    RequestTooLarge,
    WorkerOverloaded,
    WorkerRefused,
    WorkerTimedOut,
    WorkerUnreachable,
)
from apps.workers.models import PoolRequest, Worker
from apps.workers.providers import calls
from apps.workers.services import assignments, providers
from tests.fake_worker import enrol, fake_worker
from tests.workers.providers.support import CALL, KEY, answer, error, events_of, fresh, left_alone, piece, text_of
from tests.workers.stand_in import Reply, StandIn, standing_in, stream, whole

ODD_WAITS = ["\u00b2".encode("latin-1"), b"9" * 400, b"Fri, 31 Dec 99999999999999999999 23:59:59 GMT", b"1.2.3", b"-1"]


@pytest.mark.parametrize("wait", ODD_WAITS, ids=lambda wait: repr(wait[:20]))
async def test_a_refusal_with_an_odd_time_to_wait_is_still_a_refusal(
    server: StandIn, provider: Worker, wait: bytes
) -> None:
    server.replies.append(error(429, "slow down", Retry_After=wait.decode("latin-1")))
    with pytest.raises(ProviderResting):
        await events_of()
    assert (await fresh(provider)).state(timezone.now()) == "resting"


@pytest.mark.parametrize(
    "told",
    [
        b"[" * 100_000,
        b'{"error": {"type": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b"\xff",
    ],
)
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
        (error(403, "no access to this model", "model_not_found"), WorkerUnreachable, "no access to this model"),
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


LOADING = error(503, "Loading model", "unavailable_error")


async def test_a_server_that_was_just_started_is_waited_for(server: StandIn, provider: Worker, settings: Any) -> None:
    settings.WORKER_PATIENCE_S = 5.0
    server.replies.extend([LOADING, LOADING, answer("Hi")])
    assert await text_of() == "Hi"
    state = await fresh(provider)
    assert (len(server.asked), state.recent_faults, state.cooling_until) == (3, {}, None)


async def test_a_server_that_loads_for_long_is_told_as_that(server: StandIn, provider: Worker) -> None:
    server.replies.append(LOADING)
    with pytest.raises(ProviderLoading, match="'tiny' is still being loaded"):
        await events_of()


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
    await left_alone(server, relay.complete(CALL))
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


FLAGGED = {"message": "flagged for violence", "code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "x"}}
MANY = "Request too large for theirs in organization org-1 on tokens per min (TPM): Limit 8000, Requested 9000"


@pytest.mark.parametrize(
    ("reply", "raised", "words"),
    [
        (whole({"error": FLAGGED}, 403), WorkerRefused, "flagged for violence"),
        (error(429, MANY, "rate_limit_exceeded"), RequestTooLarge, "no request of so many tokens"),
        (error(413, MANY, "tokens"), RequestTooLarge, "no request of so many tokens"),
        (stream({"error": {"message": MANY, "code": 429}}), RequestTooLarge, "no request of so many tokens"),
        (Reply([b"<html>Request blocked"], 403), WorkerUnreachable, "HTTP 403"),
    ],
)
async def test_what_one_request_is_refused_for_keeps_no_other_out(
    server: StandIn, provider: Worker, reply: Reply, raised: type[SiteError], words: str
) -> None:
    server.replies.extend([reply, answer("Hi")])
    with pytest.raises(raised, match=words) as refused:
        await events_of()
    assert "org-1" not in refused.value.message
    assert await text_of() == "Hi"


@pytest.mark.parametrize("reply", [Reply([]), stream(), stream({"choices": []})])
async def test_a_provider_that_takes_a_request_and_breaks_off_is_asked_twice(
    server: StandIn, provider: Worker, settings: Any, reply: Reply
) -> None:
    """Once may be chance; it may cost each time."""
    settings.WORKER_PATIENCE_S = 3.0
    server.replies.extend([reply] * 20)
    with pytest.raises(WorkerUnreachable):
        await events_of()
    assert len(server.asked) == 2


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


@pytest.mark.parametrize("pieces", [[b'{"error": ', threading.Event()], [b" " * 600, b" " * 600, threading.Event()]])
async def test_a_refusal_without_end_is_a_refusal(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes | threading.Event]
) -> None:
    monkeypatch.setattr(calls, "REFUSAL_WITHIN_S", 0.3)
    monkeypatch.setattr(calls, "MAX_REFUSAL_BYTES", 1000)
    server.replies.append(Reply(pieces, 429))
    with pytest.raises(ProviderResting):
        await events_of()


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
