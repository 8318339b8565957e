"""Readers belong to processes: pages come and go, processes die, and the text has no gap and no double.

A second process is played by a second `Reader`, which shares nothing with the first but Postgres and the worker.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, transaction
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.accounts.models import Metric, User
from apps.conversations.live import feed, hold, registry, timing
from apps.conversations.live import reader as reader_module
from apps.conversations.live.reader import Reader
from apps.conversations.live.recovery import recover
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors import reading
from apps.conversations.selectors.reading import ReadingJob
from apps.conversations.services import generations
from apps.conversations.services.conversations import conversation_delete
from apps.conversations.services.generations import Kept
from apps.conversations.services.turns import turn_start
from apps.core.threads import in_thread
from apps.workers.models import Worker
from tests.accounts.support import counter, ledger_of, limit
from tests.conversations.conftest import MODEL, Opens
from tests.conversations.pages import ShownAnswer
from tests.fake_worker import Cut, FakeWorker, Gate

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def quick_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "SAVE_EVERY_S", 0.05)
    monkeypatch.setattr(reader_module, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(hold, "LEAVE_THE_END_S", 0.1)


def question(alice: User) -> UUID:
    turn = turn_start(actor=Actor(user_id=alice.pk), conversation_id=None, model_name=MODEL, text="Hi")
    return turn.generation.public_id


def row(generation_id: UUID) -> Generation:
    return Generation.objects.select_related("message").get(public_id=generation_id)


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[Reader]:
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], *, on: Reader) -> None:
    """Wait for something in the memory of a reader, each time that it reports news."""
    changed = on.subscribe()
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await changed.wait()
            changed.clear()
    on.unsubscribe(changed)


async def until_row(generation_id: UUID, condition: Callable[[Generation], bool]) -> Generation:
    """Wait for something in Postgres."""
    async with asyncio.timeout(WAIT_S):
        while not condition(found := await in_thread(row, generation_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the pace of asking, not a guess at how long it takes
    return found


async def until_attached(worker: FakeWorker, *, n_times: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while len(worker.attached) < n_times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the pace of asking, not a guess at how long it takes


async def until_text(reader: Reader, text: str) -> None:
    await until(lambda: reader.answer.text == text, on=reader)


async def until_ended(reader: Reader) -> None:
    await until(lambda: reader.outcome is not None, on=reader)


def leave_to_a_dead_process(generation_id: UUID, *, lease: timedelta, text: str | None = None) -> None:
    """Make the row look as kill -9 leaves it; the text stays unless one is given."""
    with transaction.atomic():
        Generation.objects.filter(public_id=generation_id).update(reader=uuid4(), reader_lease_expires_at=Now() + lease)
        if text is not None:
            Message.objects.filter(generation__public_id=generation_id).update(content=text)


# --- Pages come and go ----------------------------------------------------------------------------------------------


async def test_an_answer_goes_on_when_its_page_is_closed(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    script = worker.play("one", gate, " two")
    async with opens(alice) as page:
        generation_id = UUID((await page.ask("Hi"))["generation"])
        await gate.was_reached()
    gate.open()
    found = await until_row(generation_id, lambda found: found.state == "complete")
    assert found.message.content == script.text
    assert worker.cancelled == []


async def test_a_reloaded_page_sees_the_text_so_far_and_what_follows(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play("# One\n\n", "two", gate, " three")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "two")
    async with opens(alice) as page:
        await page.attach(generation)
        snapshot = await page.until("generation.snapshot")
        assert snapshot["state"] == "running"
        assert "One" in "".join(snapshot["blocks"])
        assert snapshot["tail"] == "two"
        gate.open()
        answer = await page.until_end(generation)
    assert answer.html.count("One") == 1
    assert "two three" in answer.html


async def test_attaching_to_an_ended_answer_shows_it_whole(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("# One\n\nTwo")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        first = await page.until_end(generation)
        await page.attach(generation)
        snapshot = await page.until("generation.snapshot")
        again = await page.until_end(generation)
    assert snapshot["state"] == "complete"
    assert (again.html, again.end) == (first.html, first.end)


async def test_a_reader_is_forgotten_when_its_answer_has_ended(opens: Opens, alice: User, worker: FakeWorker) -> None:
    generation_id = await in_thread(question, alice)
    reader = registry.reader_of(generation_id)
    assert registry.reader_of(generation_id) is reader
    async for _ in feed.follow(reader):
        pass
    async with asyncio.timeout(WAIT_S):
        while registry.reader_of(generation_id) is reader:  # noqa: ASYNC110
            await asyncio.sleep(0)  # the task ends a turn of the loop after the answer


async def test_two_pages_see_the_same_text(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play("one", gate, " two\n\nthree")
    async with opens(alice) as first, opens(alice) as second:
        generation = (await first.ask("Hi"))["generation"]
        await first.until_shown(generation, "one")
        await second.attach(generation)
        await second.until_shown(generation, "one")
        gate.open()
        shown = [await page.until_end(generation) for page in (first, second)]
    assert shown[0].blocks == shown[1].blocks
    assert shown[0].end == shown[1].end
    assert len(worker.requests) == 1


async def test_attaching_twice_from_one_page_starts_over_without_a_double(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play("one", gate, " two")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "one")
        await page.send({"type": "generation.attach", "generation": generation})
        await page.send({"type": "generation.attach", "generation": generation})
        for _ in range(2):
            await page.until("generation.snapshot")
        gate.open()
        answer = await page.until_end(generation)
    assert answer.n_snapshots == 3
    assert "one two" in answer.html


async def test_a_page_that_does_not_read_costs_no_memory_and_misses_nothing(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    pieces = [f"word{i} \n\n" if i % 50 == 0 else f"word{i} " for i in range(2000)]
    script = worker.play("first ", gate, *pieces)
    generation_id = await in_thread(question, alice)
    reader = registry.reader_of(generation_id)
    slow, quick = ShownAnswer(), ShownAnswer()
    frames = feed.follow(reader)
    slow.apply(await anext(frames))
    gate.open()
    async for frame in feed.follow(reader):
        quick.apply(frame)
    n_frames = 0
    async for frame in frames:
        slow.apply(frame)
        n_frames += 1
    assert n_frames == 2, "what was missed comes as one frame, then the end"
    assert slow.blocks == quick.blocks
    assert slow.end == quick.end
    assert (await in_thread(row, generation_id)).message.content == script.text


# --- Processes die --------------------------------------------------------------------------------------------------


async def test_the_text_so_far_is_saved_while_it_grows(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("so far", Gate())
    generation_id = await in_thread(question, alice)
    registry.reader_of(generation_id)
    found = await until_row(generation_id, lambda found: found.message.content != "")
    assert (found.message.content, found.state) == ("so far", "running")
    assert found.ttft_ms is not None


async def test_a_process_that_is_told_to_end_lets_go_and_another_goes_on(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    script = worker.play("one", gate, " two")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    found = await in_thread(row, generation_id)
    assert (found.reader, found.message.content, found.state) == (None, "one", "running")

    async with running(Reader(generation_id)) as other:
        await until_text(other, "one")
        gate.open()
        await until_ended(other)
    found = await in_thread(row, generation_id)
    assert (found.message.content, found.state) == (script.text, "complete")
    assert len(worker.requests) == 1


async def test_saving_that_is_under_way_does_not_take_back_what_is_let_go(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, release = generations.generation_keep, generations.generation_release
    is_saving, is_saved, is_released = asyncio.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def keep_late(*args: Any, **kwargs: Any) -> Kept | None:
        loop.call_soon_threadsafe(is_saving.set)
        is_released.wait(1)  # the chance to overtake, which is not taken
        try:
            return keep(*args, **kwargs)
        finally:
            loop.call_soon_threadsafe(is_saved.set)

    def release_noticed(*args: Any, **kwargs: Any) -> None:
        release(*args, **kwargs)
        is_released.set()

    monkeypatch.setattr(generations, "generation_keep", keep_late)
    monkeypatch.setattr(generations, "generation_release", release_noticed)
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)):
        await asyncio.wait_for(is_saving.wait(), WAIT_S)
    await asyncio.wait_for(is_saved.wait(), WAIT_S)
    assert (await in_thread(row, generation_id)).reader is None


async def test_after_kill_9_a_reader_goes_on_from_the_text_that_was_saved(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    script = worker.play("one", " two", gate, " three")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one two")
    await registry.readers_release()
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="one t")

    async with running(Reader(generation_id)) as other:
        changed = other.subscribe()
        await changed.wait()
        assert other.answer.text == "one t", "it begins with what was saved"
        gate.open()
        await until_ended(other)
    assert (await in_thread(row, generation_id)).message.content == script.text


async def test_while_another_process_saves_a_reader_shows_but_does_not_save_until_the_lease_runs_out(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    script = worker.play("one", gate, " two")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(hours=1), text="")

    async with running(Reader(generation_id)) as follower:
        await until_text(follower, "one")
        kept = await in_thread(generations.generation_keep, generation_id, uuid4(), text="mine", ttft_ms=1)
        assert kept is not None
        assert not kept.is_mine
        assert (await in_thread(row, generation_id)).message.content == ""
        await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1))
        await until_row(generation_id, lambda found: found.message.content == "one")
        gate.open()
        await until_ended(follower)
    assert (await in_thread(row, generation_id)).message.content == script.text


async def test_a_follower_waits_for_the_worker_that_the_other_process_looks_for(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    script = worker.play("text")
    generation_id = await in_thread(question, alice)
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(hours=1), text="")
    async with running(Reader(generation_id)) as follower:
        await asyncio.wait_for(follower.loaded.wait(), WAIT_S)
        assert worker.requests == []
        async with running(Reader(generation_id)) as owner:
            await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="")
            await until_ended(owner)
            await until_ended(follower)
    assert len(worker.requests) == 1
    assert follower.answer.text == owner.answer.text == script.text


async def test_a_follower_asks_no_worker_again_while_another_process_may_be_asking(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    generation_id = await in_thread(question, alice)
    worker_id = (await in_thread(Worker.objects.get)).pk
    await in_thread(generations.generation_assign, generation_id, worker_id)
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(hours=1))
    async with running(Reader(generation_id)):
        await until_attached(worker, n_times=3)
    assert worker.requests == []


async def test_of_two_readers_the_one_that_measured_writes_the_end(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, follower_waits = Gate(), asyncio.Event()
    loop, job_get, finish = asyncio.get_running_loop(), reading.reading_job_get, generations.generation_finish

    def job_get_noticed(generation_id: UUID) -> ReadingJob | None:
        loop.call_soon_threadsafe(follower_waits.set)
        return job_get(generation_id)

    def finish_late(generation_id: UUID, outcome: Outcome, text: str) -> bool:
        if outcome.ttft_ms is not None:  # the one that asked comes to its end after the follower
            asyncio.run_coroutine_threadsafe(follower_waits.wait(), loop).result(WAIT_S)
        else:
            loop.call_soon_threadsafe(follower_waits.set)
        return finish(generation_id, outcome, text)

    monkeypatch.setattr(timing, "SHORTEST_MEASURED_S", 0)
    worker.play("one", gate, " two")
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as first:
        await until_text(first, "one")
        async with running(Reader(generation_id)) as second:
            await until_text(second, "one")
            monkeypatch.setattr(hold, "LEAVE_THE_END_S", 1.0)
            monkeypatch.setattr(reading, "reading_job_get", job_get_noticed)
            monkeypatch.setattr(generations, "generation_finish", finish_late)
            gate.open()
            await until_ended(first)
            monkeypatch.setattr(hold, "LEAVE_THE_END_S", 0.1)
            await until_ended(second)
    assert first.outcome == second.outcome
    assert first.outcome is not None
    assert first.outcome.tokens_per_s is not None


async def test_a_follower_whose_connection_breaks_leaves_the_answer_whole(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    before, after, last = Gate(), Gate(), Gate()
    script = worker.play("one", before, Cut(), " two", after, " three", last)
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as owner, running(Reader(generation_id)) as follower:
        await until_text(owner, "one")
        await until_text(follower, "one")
        await until_attached(worker, n_times=1)  # the follower; the owner asked
        before.open()
        await until_text(owner, "one two")
        await until_attached(worker, n_times=3)  # both again
        assert follower.outcome is None
        after.open()
        await until_text(follower, script.text)
        last.open()
        await until_ended(owner)
        await until_ended(follower)
    assert (owner.state, follower.state) == ("complete", "complete")
    assert owner.answer.text == follower.answer.text == script.text


async def test_a_reader_that_took_over_survives_a_broken_connection_too(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    before, after = Gate(), Gate()
    script = worker.play("one", before, Cut(), " two", after, " three")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    async with running(Reader(generation_id)) as heir:
        await until_attached(worker, n_times=1)
        before.open()
        await until_attached(worker, n_times=2)
        after.open()
        await until_ended(heir)
    assert (heir.state, heir.answer.text) == ("complete", script.text)


async def test_stopping_reaches_the_process_that_reads(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as reader:
        await until_text(reader, "one")
        assert await in_thread(generations.generation_request_stop, generation_id)
        await until_ended(reader)
    assert reader.state == "stopped"
    assert set(worker.cancelled) == {str(generation_id)}


async def test_deleting_a_conversation_stops_its_answer(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as reader:
        await until_text(reader, "one")
        conversation = (await in_thread(row, generation_id)).conversation_id
        public_id = await in_thread(lambda: Generation.objects.get(conversation=conversation).conversation.public_id)
        await in_thread(conversation_delete, actor=Actor(user_id=alice.pk), conversation_id=public_id)
        await until_ended(reader)
    assert str(generation_id) in worker.cancelled
    assert not await in_thread(Message.objects.exists)


@asynccontextmanager
async def queued(alice: User, bob: User, worker: FakeWorker, gate: Gate) -> AsyncIterator[Reader]:
    """Alice's answer, which waits while the only place is taken by Bob's."""
    await Worker.objects.aupdate(slots=1)
    worker.play("for bob", gate)
    async with running(Reader(await in_thread(question, bob))) as bobs:
        await gate.was_reached()
        async with running(Reader(await in_thread(question, alice))) as alices:
            await until(lambda: alices.place is not None, on=alices)
            yield alices
        gate.open()
        await until_ended(bobs)


async def test_an_answer_that_is_stopped_in_the_queue_costs_nothing(
    opens: Opens, alice: User, bob: User, worker: FakeWorker
) -> None:
    tokens = await in_thread(limit, 1000, Metric.TOKENS, user=alice)
    async with queued(alice, bob, worker, Gate()) as reader:
        assert (await in_thread(counter, tokens)).reserved == 1000
        reader.stop()
        await until_ended(reader)
        assert reader.state == "stopped"
    assert await in_thread(ledger_of, alice) == [("stopped", 0, 0, False)]
    assert [(await in_thread(counter, tokens)).reserved, (await in_thread(counter, tokens)).used] == [0, 0]
    assert len(worker.requests) == 1


async def test_deleting_what_waits_in_the_queue_gives_back_at_once_what_it_held(
    opens: Opens, alice: User, bob: User, worker: FakeWorker
) -> None:
    tokens = await in_thread(limit, 1000, Metric.TOKENS, user=alice)
    async with queued(alice, bob, worker, Gate()) as reader:
        conversation = await in_thread(Conversation.objects.get, user=alice)
        await in_thread(conversation_delete, actor=Actor(user_id=alice.pk), conversation_id=conversation.public_id)
        assert await in_thread(ledger_of, alice) == [("stopped", 0, 0, False)]
        assert (await in_thread(counter, tokens)).reserved == 0
        await until_ended(reader)
    assert len(worker.requests) == 1


async def test_what_loses_its_row_in_the_queue_gives_back_what_it_held(
    opens: Opens, alice: User, bob: User, worker: FakeWorker
) -> None:
    tokens = await in_thread(limit, 1000, Metric.TOKENS, user=alice)
    async with queued(alice, bob, worker, Gate()) as reader:
        await in_thread(Conversation.objects.filter(user=alice).delete)
        await until_ended(reader)
    assert await in_thread(ledger_of, alice) == [("stopped", 0, 0, False)]
    assert (await in_thread(counter, tokens)).reserved == 0


async def test_an_answer_that_ended_elsewhere_while_it_waited_is_not_sent(
    opens: Opens, alice: User, bob: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "SAVE_EVERY_S", 3600)  # so that it learns of the end by its turn alone
    gate = Gate()
    async with queued(alice, bob, worker, gate) as reader:
        await in_thread(generations.generation_finish, reader.generation_id, Outcome(GenerationState.STOPPED), "")
        gate.open()
        await until_ended(reader)
        assert reader.state == "stopped"
    assert len(worker.requests) == 1
    assert await in_thread(ledger_of, alice) == [("stopped", 0, 0, False)]


async def test_deleting_stops_an_answer_that_no_process_reads(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    conversation = await in_thread(Conversation.objects.get)
    await in_thread(conversation_delete, actor=Actor(user_id=alice.pk), conversation_id=conversation.public_id)
    assert worker.cancelled == [str(generation_id)]


async def test_an_answer_that_loses_its_row_is_cancelled_at_the_worker(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as reader:
        await until_text(reader, "one")
        await in_thread(Generation.objects.all().delete)
        await until_ended(reader)
    assert set(worker.cancelled) == {str(generation_id)}
    assert reader.state == "stopped"


async def test_an_end_that_another_process_wrote_is_the_one_that_is_shown(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    worker.play("# One\n\n", "two", Gate())
    generation_id = await in_thread(question, alice)
    failed = Outcome(GenerationState.FAILED, error=Failure("workers.died", "It died.", retryable=True))
    async with running(Reader(generation_id)) as reader:
        shown, frames = ShownAnswer(), feed.follow(reader)
        while "two" not in shown.tail:
            shown.apply(await anext(frames))
        assert await in_thread(generations.generation_finish, generation_id, failed, "o")
        async for frame in frames:
            shown.apply(frame)
    assert reader.outcome == failed
    assert shown.blocks == ["<p>o</p>\n"]
    assert shown.state == "failed"


async def test_an_end_that_cannot_be_saved_is_tried_again(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = generations.generation_finish, [OperationalError("gone"), OperationalError("gone")]

    def finish(*args: object) -> bool:
        if failures:
            raise failures.pop()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(generations, "generation_finish", finish)
    monkeypatch.setattr(hold, "SETTLE_DELAYS_S", (0.01, 0.01))
    generation_id = await in_thread(question, alice)
    async with running(Reader(generation_id)) as reader:
        await until_ended(reader)
    assert (await in_thread(row, generation_id)).state == "complete"


# --- Nobody comes back ----------------------------------------------------------------------------------------------


async def test_an_orphan_is_read_to_its_end_without_any_page(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    script = worker.play("one", gate, " two")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="on")
    gate.open()
    assert await recover(limit=10, within_s=WAIT_S) == 1
    found = await in_thread(row, generation_id)
    assert (found.message.content, found.state) == (script.text, "complete")
    assert await recover(limit=10, within_s=WAIT_S) == 0


async def test_a_question_whose_process_is_about_to_read_is_not_recovered(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    await in_thread(question, alice)
    assert await recover(limit=10, within_s=WAIT_S) == 0


async def test_what_a_living_process_reads_is_not_recovered(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("one", Gate())
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    assert await recover(limit=10, within_s=WAIT_S) == 0


async def test_recovery_lets_go_of_what_takes_too_long(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    script = worker.play("one", gate, " two")
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="")
    assert await recover(limit=10, within_s=0.2) == 1
    assert (await in_thread(row, generation_id)).state == "running"
    gate.open()
    assert await recover(limit=10, within_s=WAIT_S) == 1
    assert (await in_thread(row, generation_id)).message.content == script.text


async def test_an_orphan_that_its_worker_forgot_fails_and_keeps_its_text(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play("one", gate)
    generation_id = await in_thread(question, alice)
    await until_text(registry.reader_of(generation_id), "one")
    await registry.readers_release()
    worker.forget()
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="one")
    assert await recover(limit=10, within_s=WAIT_S) == 1
    found = await in_thread(row, generation_id)
    assert (found.message.content, found.state, found.error_code) == ("one", "failed", "workers.generation_gone")


@pytest.mark.parametrize("was_assigned", [False, True])
async def test_a_question_that_no_worker_began_to_answer_is_asked_again(
    opens: Opens, alice: User, worker: FakeWorker, was_assigned: bool
) -> None:
    generation_id = await in_thread(question, alice)
    if was_assigned:  # noted, and then the process died before it asked
        worker_id = (await in_thread(Worker.objects.get)).pk
        await in_thread(generations.generation_assign, generation_id, worker_id)
    await in_thread(leave_to_a_dead_process, generation_id, lease=timedelta(seconds=-1), text="")
    assert await recover(limit=10, within_s=WAIT_S) == 1
    found = await in_thread(row, generation_id)
    assert (found.message.content, found.state) == ("Hello there.", "complete")
