"""A page whose answer waits for its turn is told where it stands."""

from apps.accounts.models import User
from apps.workers.models import PoolRequest, Worker
from tests.conversations.conftest import Opens
from tests.fake_worker import FakeWorker, Gate


async def test_a_page_sees_its_place_in_the_queue_until_its_answer_begins(
    opens: Opens, alice: User, bob: User, worker: FakeWorker
) -> None:
    await Worker.objects.aupdate(slots=1)
    gate = Gate()
    worker.play("for bob", gate)
    async with opens(bob) as bobs, opens(alice) as alices:
        first = await bobs.ask("Hi")
        await gate.was_reached()
        second = await alices.ask("Hi")
        queued = await alices.until("generation.queued")
        assert queued == {
            "type": "generation.queued", "generation": second["generation"], "place": 1, "eta_s": None,
        }  # fmt: skip
        gate.open()
        assert (await alices.until("generation.queued"))["place"] is None
        assert (await alices.until_end(second["generation"])).html == "<p>Hello there.</p>\n"
        assert (await bobs.until_end(first["generation"])).state == "complete"


async def test_an_answers_id_is_the_one_in_the_log_of_requests_and_at_the_worker(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    async with opens(alice) as page:
        generation = (await page.ask("Hi"))["generation"]
        await page.until_end(generation)
    request = await PoolRequest.objects.aget()
    assert (request.trace_id, str(request.generation_id)) == (generation, generation)
    assert worker.request_ids == [generation]
