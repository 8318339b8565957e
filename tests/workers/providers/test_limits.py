"""How much a provider is asked: requests and tokens a minute, requests at once, and what an admission costs."""

import asyncio
import threading
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import LedgerEntry, Metric
from apps.core.errors import SiteError
from apps.workers import client, relay
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import ProviderResting, WorkerMismatch, WorkerOverloaded, WorkerUnreachable
from apps.workers.fairness import Place
from apps.workers.metering import unseen
from apps.workers.models import PoolRequest, Worker
from apps.workers.services import admission, providers
from apps.workers.target import Target
from tests.accounts.support import limit
from tests.fake_worker import FakeWorker, enrol
from tests.workers.providers.support import BODY, CALL, answer, error, events_of, fresh, left_alone, piece, text_of
from tests.workers.stand_in import Reply, StandIn, standing_in, stream, whole


@pytest.fixture
def mid_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still in the middle of a minute, so that none turns during the test."""
    moment = timezone.now().replace(second=30, microsecond=0)
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)


async def test_requests_a_minute_are_never_exceeded_and_the_next_is_told_when(
    server: StandIn, provider: Worker, mid_minute: None
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_requests_per_minute=3)
    server.replies.extend(answer("Hi") for _ in range(8))
    done = await asyncio.gather(*(text_of() for _ in range(8)), return_exceptions=True)
    assert len(server.asked) == 3
    refused = [outcome for outcome in done if isinstance(outcome, ProviderResting)]
    assert [done.count("Hi"), len(refused)] == [3, 5]
    assert {one.details["retry_after_s"] for one in refused} == {30}


async def test_tokens_a_minute_stop_the_next_request(server: StandIn, provider: Worker, mid_minute: None) -> None:
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
    await left_alone(server, relay.complete(LONG))
    assert 100 < (await fresh(provider)).minute_tokens < 120


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "9", "completion_tokens": -3}])
async def test_a_whole_answer_without_numbers_counts_by_an_estimate(
    server: StandIn, provider: Worker, usage: object
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    choice = {"index": 0, "message": {"role": "assistant", "content": "y" * 800}, "finish_reason": "stop"}
    server.replies.append(whole({"choices": [choice], "usage": usage}))
    await relay.complete(LONG)
    entry = await LedgerEntry.objects.aget()
    assert (entry.is_estimated, 100 < entry.prompt_tokens < 120, 200 < entry.completion_tokens < 220) == (True,) * 3
    assert 300 < (await fresh(provider)).minute_tokens < 340


async def test_guessing_at_the_tokens_of_a_long_text_keeps_nobody_waiting(
    server: StandIn, provider: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop's thread serves everybody."""
    guessing: set[int] = set()
    guess = unseen._n_bytes

    def watched(prompt: dict[str, Any]) -> int:
        guessing.add(threading.get_ident())
        return guess(prompt)

    monkeypatch.setattr(unseen, "_n_bytes", watched)
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    choice = {"index": 0, "message": {"role": "assistant", "content": "y" * 800}, "finish_reason": "stop"}
    server.replies.append(whole({"choices": [choice]}))
    await relay.complete(LONG)
    assert guessing
    assert threading.get_ident() not in guessing


@pytest.mark.parametrize(
    ("reply", "least", "most"),
    [
        (whole({"choices": "y" * 800}), 300, 340),
        (Reply([b"y" * 800]), 300, 340),
    ],
)
async def test_a_whole_answer_that_cannot_be_read_was_computed_all_the_same(
    server: StandIn, provider: Worker, reply: Reply, least: int, most: int
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    server.replies.append(reply)
    with pytest.raises(WorkerUnreachable, match="does not speak its language"):
        await relay.complete(LONG)
    assert least < (await fresh(provider)).minute_tokens < most


async def test_a_stream_that_cannot_be_read_counts_its_prompt_at_the_provider_that_sent_it(
    server: StandIn, provider: Worker
) -> None:
    await Worker.objects.filter(pk=provider.pk).aupdate(max_tokens_per_minute=100_000)
    with standing_in() as spare:
        row = await sync_to_async(second_choice)(spare)
        await Worker.objects.filter(pk=row.pk).aupdate(max_tokens_per_minute=100_000)
        server.replies.append(stream({"choices": "none"}))
        spare.replies.append(answer("Hi"))
        assert await text_of(LONG) == "Hi"
        assert 100 < (await fresh(provider)).minute_tokens < 120
        assert (await fresh(row)).minute_tokens == 7


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
    gate = threading.Event()
    held = [stream(gate, piece("Hi", "stop"), "[DONE]") for _ in range(2)]
    server.replies.extend([*held, *(answer("Hi") for _ in range(22))])
    calls_made = [Call(Actor(is_installation=True), model, BODY) for model in ("tiny", "large") * 12]
    answering = asyncio.gather(*map(text_of, calls_made))
    async with asyncio.timeout(20):
        while len(server.asked) < 2:  # noqa: ASYNC110  # it has no event to wait for
            await asyncio.sleep(0.01)
    gate.set()
    assert set(await answering) == {"Hi"}
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


async def test_a_request_that_is_tried_again_does_not_stand_in_its_own_way(
    server: StandIn, provider: Worker, settings: Any
) -> None:
    settings.WORKER_PATIENCE_S = 3.0
    await Worker.objects.filter(pk=provider.pk).aupdate(max_running=1)
    server.replies.extend([stream(), answer("Hi")])
    assert await text_of() == "Hi"


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


async def test_a_model_that_is_unmapped_while_a_request_waits_is_not_asked_for_without_a_name(
    server: StandIn, provider: Worker
) -> None:
    """Whoever was admitted learns where by a look into the queue, and by then the mapping may be gone."""
    enter = sync_to_async(admission.request_enter)
    entered = await enter(Call(Actor(), "tiny", BODY), trace_id="", generation_id=None)
    await sync_to_async(providers.model_unmap)(provider, "tiny")
    seen = await sync_to_async(admission.queue_look)(entered.model_id, [entered.request_id])
    target = seen[entered.request_id]
    assert isinstance(target, Target)
    with pytest.raises(WorkerMismatch, match="no longer mapped"):
        await client.completion(target, WorkerPath.CHAT_COMPLETIONS, BODY | {"model": "tiny"})
    with pytest.raises(WorkerMismatch, match="no longer mapped"):
        async for _ in client.completion_stream(target, WorkerPath.CHAT_COMPLETIONS, BODY | {"model": "tiny"}):
            pass
    assert server.asked == []
