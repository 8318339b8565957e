"""Every call that goes to a worker is metered, however it ends, and nobody who asks the pool can forget it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from pytest_django.fixtures import Settings

from apps.accounts.actors import Actor
from apps.accounts.errors import LimitExceeded
from apps.accounts.models import LedgerEntry, Metric, Period, Reservation, User
from apps.catalog.models import LanguageModel
from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.workers import relay
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import PartyQueueFull, WorkerDied, WorkerInternal, WorkerRefused, WorkerUnreachable
from apps.workers.fairness import Place
from apps.workers.metering import counting
from apps.workers.models import Worker
from gpu_worker.protocol import WorkerErrorCode
from tests.accounts.support import counter, ledger_of, ledger_sum, limit
from tests.fake_worker import (
    CACHED_TOKENS,
    CONTEXT_LENGTH,
    PROMPT_TOKENS,
    WAIT_S,
    Fail,
    FakeWorker,
    Gate,
    Refuse,
    enrol,
    fake_worker,
)

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    with fake_worker() as worker:
        enrol(worker, "tiny")
        yield worker


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


@pytest.fixture
def ask(alice: User) -> "Ask":
    return Ask(alice)


class Ask:
    """Alice's calls."""

    def __init__(self, user: User) -> None:
        self.user = user

    def call(self, **fields: Any) -> Call:
        return Call(Actor(user_id=self.user.pk), "tiny", BODY | fields)

    async def streamed(self, *, generation_id: UUID | None = None, **fields: Any) -> str:
        async with aclosing(relay.generate(self.call(**fields), generation_id=generation_id)) as events:
            return "".join([event.text async for event in events])

    async def ledger(self) -> list[tuple[str, int, int, bool]]:
        return await sync_to_async(ledger_of)(self.user)


set_limit = sync_to_async(limit)
count_of = sync_to_async(counter)


async def test_a_streamed_and_a_whole_answer_are_charged_what_the_worker_says(worker: FakeWorker, ask: Ask) -> None:
    await LanguageModel.objects.filter(name="tiny").aupdate(input_price=2, output_price=4)
    assert await ask.streamed() == "Hello there."
    whole = await relay.complete(ask.call())

    assert whole["usage"]["completion_tokens"] == 3
    assert await ask.ledger() == [("complete", PROMPT_TOKENS, 3, False)] * 2
    entries = [entry async for entry in LedgerEntry.objects.all()]
    assert {(entry.endpoint, entry.model_name) for entry in entries} == {("/v1/chat/completions", "tiny")}
    assert [entry.cost * 1_000_000 for entry in entries] == [26, 26]
    assert [entry.cached_tokens for entry in entries] == [CACHED_TOKENS] * 2
    assert not await Reservation.objects.aexists()


async def test_who_did_not_ask_for_the_usage_does_not_see_it(worker: FakeWorker, ask: Ask) -> None:
    async def usages(**fields: Any) -> list[Any]:
        async with aclosing(relay.generate(ask.call(**fields))) as events:
            return [event.usage async for event in events if event.usage]

    assert await usages() == []
    assert len(await usages(stream_options={"include_usage": True})) == 1
    assert [request["stream_options"] for request in worker.requests] == [{"include_usage": True}] * 2


async def test_without_a_limit_on_tokens_nobody_counts_the_prompt(worker: FakeWorker, ask: Ask) -> None:
    await set_limit(5, Metric.REQUESTS)
    await ask.streamed()
    assert worker.tokenized == []
    assert "max_tokens" not in worker.requests[0]


async def test_with_a_limit_on_tokens_a_call_gets_no_more_than_is_left(worker: FakeWorker, ask: Ask) -> None:
    row = await set_limit(100, Metric.TOKENS)
    tools = [{"type": "function", "function": {"name": "f"}}]
    await ask.streamed(tools=tools)

    assert worker.tokenized == [{"model": "tiny", "tools": tools} | BODY]
    assert worker.requests[0]["max_tokens"] == 100 - PROMPT_TOKENS
    assert (await count_of(row)).used == PROMPT_TOKENS + 3


async def test_a_wish_is_sent_as_it_came_and_reserved_for_every_choice(worker: FakeWorker, ask: Ask) -> None:
    row = await set_limit(100, Metric.TOKENS)
    gate = Gate()
    worker.play("a", gate)
    async with aclosing(relay.generate(ask.call(max_tokens=10, n=4))) as events:
        await anext(events)
        held = (await count_of(row)).reserved
        gate.open()
        with pytest.raises(LimitExceeded, match="47 held by running calls, and this one asks for 107"):
            await ask.streamed(max_completion_tokens=100, max_tokens=1)
    assert held == PROMPT_TOKENS + 4 * 10
    assert worker.requests[0]["max_tokens"] == 10
    assert len(worker.requests) == 1


async def test_a_wish_beyond_the_context_is_bounded_by_it(worker: FakeWorker, ask: Ask) -> None:
    await set_limit(CONTEXT_LENGTH, Metric.TOKENS)
    assert await ask.streamed(max_tokens=10_000) == "Hello there."


@pytest.mark.parametrize(
    "field", [{"n": "2"}, {"n": 0}, {"max_tokens": "5"}, {"max_tokens": 1.5}, {"n": True}], ids=str
)
async def test_a_number_that_is_none_is_refused_where_a_limit_needs_it(
    worker: FakeWorker, ask: Ask, field: dict[str, Any]
) -> None:
    await set_limit(100, Metric.TOKENS)
    with pytest.raises(WorkerRefused, match="expected a whole number") as refusal:
        await ask.streamed(**field)
    assert refusal.value.param == next(iter(field))
    assert worker.requests == []


@pytest.mark.parametrize(
    ("prompt", "n_prompt", "n_prompts"),
    [("one two", 2, 1), (["one two", "three"], 3, 2), ([5, 6, 7], 3, 1), ([[5, 6], [7]], 3, 2)],
)
async def test_text_completions_reserve_for_every_prompt(
    worker: FakeWorker, ask: Ask, prompt: Any, n_prompt: int, n_prompts: int
) -> None:
    call = Call(ask.call().actor, "tiny", {"prompt": prompt, "n": 2}, WorkerPath.COMPLETIONS)
    need = await counting.need_of(call)
    assert (need.prompt_tokens, need.n_choices, need.max_tokens) == (n_prompt, 2 * n_prompts, 16)
    assert need.may_shorten


async def test_vectors_reserve_the_context_for_a_text_and_the_ids_themselves(worker: FakeWorker, ask: Ask) -> None:
    call = Call(ask.call().actor, "tiny", {"input": [[1, 2, 3], "a text"]}, WorkerPath.EMBEDDINGS)
    need = await counting.need_of(call)
    assert (need.prompt_tokens, need.max_tokens) == (3 + CONTEXT_LENGTH, 0)


async def test_a_stream_that_is_left_is_charged_what_was_delivered(worker: FakeWorker, ask: Ask) -> None:
    row = await set_limit(1000, Metric.TOKENS)
    worker.play("one ", "two ", Gate(), "three")
    async with aclosing(relay.generate(ask.call())) as events:
        async for event in events:
            if event.text == "two ":
                break
    assert await ask.ledger() == [("stopped", PROMPT_TOKENS, 2, True)]
    assert (await count_of(row)).used == PROMPT_TOKENS + 2


async def test_a_stream_that_is_left_before_its_first_word_is_charged_its_prompt(worker: FakeWorker, ask: Ask) -> None:
    await set_limit(1000, Metric.TOKENS)
    worker.play(Gate())
    async with aclosing(relay.generate(ask.call())) as events:
        await anext(events)  # the role, which is no text
    assert await ask.ledger() == [("stopped", PROMPT_TOKENS, 0, True)]


async def test_a_whole_answer_that_nobody_waits_for_is_charged_what_it_might_have_been(
    worker: FakeWorker, ask: Ask
) -> None:
    await set_limit(1000, Metric.TOKENS)
    gate = Gate()
    worker.play("one ", gate)
    asking = asyncio.create_task(relay.complete(ask.call(max_tokens=50)))
    await gate.was_reached()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    gate.open()
    assert await ask.ledger() == [("stopped", PROMPT_TOKENS, 50, True)]


@pytest.mark.parametrize("is_stream", [True, False])
async def test_who_leaves_the_queue_is_charged_nothing(worker: FakeWorker, ask: Ask, is_stream: bool) -> None:
    tokens, requests = await set_limit(1000, Metric.TOKENS), await set_limit(5, Metric.REQUESTS)
    await Worker.objects.aupdate(slots=1)
    queued = asyncio.Event()
    worker.play("one", Gate())

    async def placed(_: Place) -> None:
        queued.set()

    async def read(call: Call) -> None:
        async with aclosing(relay.generate(call)) as events:
            async for _ in events:
                pass

    waiting = replace(ask.call(max_tokens=50), on_place=placed)
    async with aclosing(relay.generate(ask.call(max_tokens=10))) as running:
        await anext(running)
        asking = asyncio.create_task(read(waiting) if is_stream else relay.complete(waiting))
        await asyncio.wait_for(queued.wait(), WAIT_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await ask.ledger() == [("stopped", 0, 0, False)]
        assert (await sync_to_async(ledger_sum)()).requests == 0
        assert (await count_of(tokens)).reserved == PROMPT_TOKENS + 10
        assert [(await count_of(requests)).reserved, (await count_of(requests)).used] == [1, 0]
    assert len(worker.requests) == 1


async def test_who_has_too_many_waiting_is_not_refused_by_a_worker(
    worker: FakeWorker, ask: Ask, settings: Settings
) -> None:
    settings.QUEUE_MAX_PER_USER = 0
    with pytest.raises(PartyQueueFull):
        await ask.streamed()
    assert await ask.ledger() == [("failed", 0, 0, False)]
    assert (await sync_to_async(ledger_sum)()).requests == 0


async def test_counting_tokens_uses_nothing_and_that_is_no_estimate(worker: FakeWorker, ask: Ask) -> None:
    await relay.complete(Call(ask.call().actor, "tiny", {"prompt": "one two"}, WorkerPath.TOKENIZE))
    assert await ask.ledger() == [("complete", 0, 0, False)]


async def test_a_worker_that_does_not_come_to_a_count_fails(
    worker: FakeWorker, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "COUNTED_WITHIN_S", 0.05)
    worker.counts_after = Gate()
    await set_limit(1000, Metric.TOKENS)
    with pytest.raises(WorkerUnreachable, match=r"no count within 0\.05 s"):
        await ask.streamed()
    worker.counts_after.open()


async def test_a_stream_that_is_left_is_settled_though_no_worker_counts_its_prompt(
    worker: FakeWorker, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "COUNTED_WITHIN_S", 0.05)
    worker.counts_after = Gate()
    worker.play("one ", Gate())
    async with aclosing(relay.generate(ask.call())) as events:
        async for event in events:
            if event.text:
                break
    assert await ask.ledger() == [("stopped", 0, 1, True)]
    worker.counts_after.open()


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        (WorkerPath.COMPLETIONS, {"prompt": ["a"] * 129}, 128),
        (WorkerPath.EMBEDDINGS, {"input": [[1]] * 2049}, 2048),
    ],
)
async def test_more_texts_than_a_worker_takes_are_not_counted(
    worker: FakeWorker, ask: Ask, path: WorkerPath, body: dict[str, Any], most: int
) -> None:
    with pytest.raises(WorkerRefused, match=f"at most {most} at once, found {most + 1}") as refusal:
        await counting.need_of(Call(ask.call().actor, "tiny", body, path))
    assert refusal.value.param == next(iter(body))
    assert worker.tokenized == []


@pytest.mark.parametrize(
    ("path", "field", "asked_once"),
    [(WorkerPath.COMPLETIONS, "prompt", "_targets"), (WorkerPath.EMBEDDINGS, "input", "context_length_get")],
)
async def test_however_many_texts_there_are_the_database_is_asked_once(
    worker: FakeWorker, ask: Ask, monkeypatch: pytest.MonkeyPatch, path: WorkerPath, field: str, asked_once: str
) -> None:
    real, asked = getattr(counting, asked_once), []

    def noted(model: str) -> Any:
        asked.append(model)
        return real(model)

    monkeypatch.setattr(counting, asked_once, noted)
    await counting.prompt_tokens(Call(ask.call().actor, "tiny", {field: ["a"] * 20}, path))
    assert asked == ["tiny"]


async def test_a_worker_that_breaks_in_mid_answer_is_paid_for_what_came(worker: FakeWorker, ask: Ask) -> None:
    worker.play("one ", Fail())
    with pytest.raises(WorkerInternal):
        await ask.streamed()
    assert await ask.ledger() == [("failed", PROMPT_TOKENS, 1, True)]


async def test_our_failures_are_not_held_against_anybody_and_refusals_are(worker: FakeWorker, ask: Ask) -> None:
    row = await set_limit(5, Metric.REQUESTS)
    at_once = await set_limit(5, Metric.CONCURRENCY, Period.AT_ONCE)
    worker.scripts.append(Refuse(500, WorkerErrorCode.INTERNAL))
    worker.scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST))
    for _ in range(2):
        with pytest.raises(SiteError):
            await ask.streamed()
    assert await ask.ledger() == [("failed", 0, 0, False), ("refused", 0, 0, False)]
    assert [(await count_of(row)).used, (await count_of(row)).reserved] == [1, 0]
    assert (await count_of(at_once)).reserved == 0


async def test_an_answer_that_outlives_its_reader_is_settled_by_the_one_that_takes_it_over(
    worker: FakeWorker, ask: Ask
) -> None:
    generation_id, gate = uuid4(), Gate()
    worker.play("one ", gate, "two ", "three")
    async with aclosing(relay.generate(ask.call(), generation_id=generation_id)) as events:
        async for event in events:
            if event.text:
                break
    assert await ask.ledger() == []
    assert await Reservation.objects.acount() == 1

    gate.open()
    target = await relay.target_get((await Worker.objects.aget()).pk)

    async def follow() -> str:
        async with aclosing(relay.follow(target, generation_id)) as events:
            return "".join([event.text async for event in events])

    assert list(await asyncio.gather(follow(), follow(), follow())) == ["one two three"] * 3
    assert await ask.ledger() == [("complete", PROMPT_TOKENS, 3, False)]
    assert await follow() == "one two three"  # once more, after it was settled
    assert await LedgerEntry.objects.acount() == 1


async def test_a_stopped_answer_is_charged_what_was_written_until_then(worker: FakeWorker, ask: Ask) -> None:
    generation_id, gate = uuid4(), Gate()
    worker.play("one ", gate, "two ")
    async with aclosing(relay.generate(ask.call(), generation_id=generation_id)) as events:
        await anext(events)
        await gate.was_reached()
        await relay.cancel(await relay.target_get((await Worker.objects.aget()).pk), generation_id)
        async for _ in events:
            pass
    assert await ask.ledger() == [("stopped", PROMPT_TOKENS, 1, False)]


async def test_a_worker_that_dies_under_an_answer_with_an_id_leaves_nothing_open(worker: FakeWorker, ask: Ask) -> None:
    gate = Gate()
    worker.play("one ", gate)
    with pytest.raises(WorkerDied):
        async with aclosing(relay.generate(ask.call(), generation_id=uuid4())) as events:
            async for event in events:
                if event.text:
                    worker.kill()
    assert not await Reservation.objects.aexists()
    assert [row[0] for row in await ask.ledger()] == ["failed"]


async def test_many_calls_at_once_never_use_more_than_a_limit_allows(worker: FakeWorker, ask: Ask) -> None:
    row = await set_limit(150, Metric.TOKENS)

    async def one() -> int:
        try:
            return len(await ask.streamed(max_tokens=20))
        except LimitExceeded:
            return 0

    served = [length for length in await asyncio.gather(*(one() for _ in range(20))) if length]
    assert 150 // 27 <= len(served) <= 150 // 10
    total = await sync_to_async(ledger_sum)()
    assert total.requests == len(served) == len(worker.requests)
    assert (await count_of(row)).used == 10 * len(served) == total.prompt_tokens + total.completion_tokens
