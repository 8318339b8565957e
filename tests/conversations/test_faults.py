"""What a person sees when a worker refuses, breaks, hangs or dies; and how an answer is stopped."""

import logging

import pytest

from apps.accounts.models import User
from apps.conversations import consumers
from apps.conversations.live import reader as reader_module
from apps.conversations.models import Generation, GenerationState
from apps.core.threads import in_thread
from apps.workers.models import HostedModel, HostedState, Worker
from gpu_worker.protocol import WorkerErrorCode
from tests.conversations.conftest import Opens
from tests.fake_worker import Cut, Fail, FakeWorker, Gate, Refuse, enrol, fake_worker

HELLO = {"type": "turn.send", "ref": "r", "conversation": None, "model": "scripted", "text": "Hi"}


async def test_a_worker_that_dies_in_mid_answer_leaves_the_text_and_the_next_turn_works(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play("so far", gate, " lost")
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_shown(accepted["generation"], "so far")
        worker.kill()
        answer = await page.until_end(accepted["generation"])
        assert answer.end is not None
        assert answer.state == "failed"
        assert answer.end["error"]["code"] == "workers.died"
        assert answer.end["error"]["retryable"] is True
        assert "so far" in answer.html
        row = await in_thread(Generation.objects.select_related("message").get)
        assert (row.message.content, row.state, row.error_code) == ("so far", "failed", "workers.died")

        worker.start()
        accepted = await page.ask("Go on", conversation=accepted["conversation"]["id"])
        assert (await page.until_end(accepted["generation"])).state == "complete"
    assert [m["content"] for m in worker.requests[-1]["messages"]] == ["Hi", "so far", "Go on"]


async def test_a_broken_connection_leaves_no_gap_and_no_double(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play("one ", "two ", Cut(), "three ", gate, "four")
    async with opens(alice) as page:
        generation = (await page.ask("Count"))["generation"]
        await gate.was_reached()
        gate.open()
        answer = await page.until_end(generation)
    assert answer.state == "complete"
    assert "one two three four" in answer.html


async def test_an_error_of_the_engine_keeps_the_text_and_tells_its_words(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    worker.play("half", Fail(WorkerErrorCode.OUT_OF_MEMORY, "out of memory on cuda:0"))
    async with opens(alice) as page:
        answer = await page.until_end((await page.ask("Hi"))["generation"])
    assert answer.end is not None
    assert answer.end["error"]["code"] == "workers.internal"
    assert "out of memory on cuda:0" in answer.end["error"]["message"]
    assert "half" in answer.html


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refuse(400, WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED, "9 tokens, 8 fit"), "prompt.too_long"),
        (Refuse(400, WorkerErrorCode.INVALID_REQUEST, "no such thing"), "workers.refused"),
        (Refuse(503, WorkerErrorCode.OVERLOADED, retry_after_s=7), "workers.overloaded"),
        (Refuse(500, WorkerErrorCode.INTERNAL, "broken"), "workers.unreachable"),
    ],
)
async def test_a_refusal_of_the_only_worker_is_the_end_of_the_answer(
    opens: Opens, alice: User, worker: FakeWorker, refusal: Refuse, code: str
) -> None:
    worker.scripts.append(refusal)
    async with opens(alice) as page:
        answer = await page.until_end((await page.ask("Hi"))["generation"])
    assert answer.end is not None
    assert (answer.state, answer.end["error"]["code"]) == ("failed", code)


async def test_before_the_first_token_another_worker_takes_over(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.kill()
    with fake_worker() as second:
        await in_thread(enrol, second, "scripted")
        async with opens(alice) as page:
            answer = await page.until_end((await page.ask("Hi"))["generation"])
    assert answer.state == "complete"
    assert len(second.requests) == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [(None, "workers.none"), (HostedState.LOADING, "workers.loading"), (HostedState.FAILED, "workers.failed")],
)
async def test_without_a_ready_worker_the_answer_says_why(
    opens: Opens, alice: User, worker: FakeWorker, state: HostedState | None, code: str
) -> None:
    if state is None:
        await in_thread(Worker.objects.update, is_drained=True)
    else:
        await in_thread(HostedModel.objects.update, state=state)
    async with opens(alice) as page:
        answer = await page.until_end((await page.ask("Hi"))["generation"])
    assert answer.end is not None
    assert answer.end["error"]["code"] == code


async def test_stopping_cancels_at_the_worker_and_keeps_the_text(opens: Opens, alice: User, worker: FakeWorker) -> None:
    worker.play("so far", Gate(), " never")
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        generation = accepted["generation"]
        await page.until_shown(generation, "so far")
        await page.send({"type": "turn.stop", "generation": generation})
        answer = await page.until_end(generation)
        assert answer.end is not None
        assert (answer.state, answer.end["finish_reason"]) == ("stopped", "cancelled")
        assert answer.end["usage"]["completion_tokens"] == 1
        assert "so far" in answer.html
        assert set(worker.cancelled) == {generation}
        accepted = await page.ask("Next", conversation=accepted["conversation"]["id"])
        assert (await page.until_end(accepted["generation"])).state == "complete"


async def test_an_answer_that_still_waits_in_the_workers_queue_can_be_stopped(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    worker.play(gate, "never")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await gate.was_reached()
        await page.send({"type": "turn.stop", "generation": generation})
        answer = await page.until_end(generation)
    assert (answer.state, answer.html) == ("stopped", "")


async def test_a_worker_that_is_deaf_to_cancelling_does_not_hold_up_the_page(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "STOP_PATIENCE_S", 0.1)
    monkeypatch.setattr(reader_module, "STOP_REPEAT_S", 0.05)
    worker.is_deaf_to_cancel = True
    worker.play("so far", Gate(), " never")
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "so far")
        await page.send({"type": "turn.stop", "generation": generation})
        answer = await page.until_end(generation)
    assert answer.state == "stopped"
    assert "so far" in answer.html
    assert len(worker.cancelled) > 1, "it was not tried again"


async def test_stopping_what_has_ended_changes_nothing(opens: Opens, alice: User, worker: FakeWorker) -> None:
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_end(generation)
        await page.send({"type": "turn.stop", "generation": generation})
        await page.attach(generation)
        answer = await page.until_end(generation)
    assert answer.state == "complete"
    assert worker.cancelled == []
    assert (await in_thread(Generation.objects.get)).state == GenerationState.COMPLETE


async def test_a_stop_and_the_end_at_once_give_one_end(opens: Opens, alice: User, worker: FakeWorker) -> None:
    gate = Gate()
    worker.play("text", gate)
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_shown(generation, "text")
        gate.open()
        await page.send({"type": "turn.stop", "generation": generation})
        answer = await page.until_end(generation)
        await page.send({"type": "nonsense"})
        # Whatever came after the end would come before this reply, and `Page` refuses it; a hint may come at any time.
        await page.until("error")
    assert answer.state in ("complete", "stopped")
    row = await in_thread(Generation.objects.select_related("message").get)
    assert (row.state, row.message.content) == (answer.state, "text")


@pytest.mark.parametrize("fault", [TimeoutError, ConnectionResetError, RuntimeError])
async def test_a_fault_of_the_site_is_told_whatever_kind_it_is(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    async def begin(*_: object) -> None:
        raise fault

    monkeypatch.setattr(consumers, "turn_begin", begin)
    async with opens(alice) as page:
        assert await page.refused(HELLO) == "site.internal"


@pytest.mark.parametrize(
    ("frame", "what"), [(HELLO, "handling a TurnSend frame"), ({"type": "nonsense"}, "reading a frame")]
)
async def test_a_page_that_has_gone_is_no_fault(
    opens: Opens,
    alice: User,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    frame: dict[str, object],
    what: str,
) -> None:
    async def send(*_: object, **__: object) -> None:
        raise ConnectionResetError

    caplog.set_level(logging.DEBUG, "apps.conversations.sockets")
    async with opens(alice) as page:
        monkeypatch.setattr(consumers.ChatConsumer, "send", send)
        await page.send(frame)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", f"a page went away during {what}")
    ]
