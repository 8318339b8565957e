"""Real web processes on real sockets: one is killed in mid-answer, or a page comes back at another replica."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gpu_worker.protocol import LeaseRequest, ModelReport, ModelState
from tests.conversations.pages import ShownAnswer
from tests.fake_worker import FakeWorker, Gate, fake_worker
from tests.live import SERVERS, LiveSite, Process, free_port, start_process, wait_until

pytestmark = pytest.mark.processes


def enrol_by_lease(site: LiveSite, worker: FakeWorker) -> None:
    """Through the site's own door, as a real worker does."""
    lease = LeaseRequest(
        protocol=1,
        base_url=worker.base_url,
        access_token=worker.access_token,
        device="scripted",
        speed=1.0,
        queue_length=0,
        version="0",
        models=[ModelReport(name="scripted", state=ModelState.LOADED, context_length=1024)],
    )
    worker_id, secret = site.identity()
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"{site.url}/internal/workers/{worker_id}/lease"
    httpx.put(url, json=lease.to_json(), headers=headers, trust_env=False).raise_for_status()


@asynccontextmanager
async def page(url: str, visitor: str) -> AsyncIterator[ClientConnection]:
    headers = {"Cookie": f"visitor={visitor}"}
    address = url.replace("http", "ws", 1) + "/ws/chat"
    async with connect(address, additional_headers=headers, origin=url, proxy=None) as socket:  # type: ignore[arg-type]
        yield socket


async def ask(socket: ClientConnection, text: str) -> str:
    frame = {"type": "turn.send", "ref": "r", "conversation": None, "model": "scripted", "text": text}
    await socket.send(json.dumps(frame))
    while (answer := json.loads(await socket.recv()))["type"] != "turn.accepted":
        assert answer["type"] == "conversation.changed", answer
    generation: str = answer["generation"]
    return generation


async def show(socket: ClientConnection, answer: ShownAnswer, *, until: str | None) -> ShownAnswer:
    """Apply frames until the answer shows a text, or with None until its end."""
    while answer.end is None if until is None else until not in answer.tail + answer.html:
        frame: dict[str, Any] = json.loads(await socket.recv())
        if frame["type"].startswith("generation."):
            answer.apply(frame)
    return answer


def visitor_of(url: str) -> str:
    return httpx.get(f"{url}/chat", trust_env=False).cookies["visitor"]


async def attach(socket: ClientConnection, generation: str) -> None:
    await socket.send(json.dumps({"type": "generation.attach", "generation": generation}))


@contextmanager
def replica(site: LiveSite, *, server: str) -> Iterator[str]:
    """A second web process on the same Postgres and Redis."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [part.format(port=port) for part in SERVERS[server]]
    process = start_process(command, env=site.env, log=site.logs / "replica.log")
    try:
        wait_until(lambda: _is_ready(process, url), what="the replica to be ready", limit_s=60)
        yield url
    finally:
        process.stop()


def _is_ready(process: Process, url: str) -> bool:
    process.assert_alive()
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def test_an_answer_survives_kill_9_of_the_web_process(own_site: LiveSite) -> None:
    first, second = Gate(), Gate()
    with fake_worker() as worker:
        enrol_by_lease(own_site, worker)
        script = worker.play("one ", first, "two ", "three ", second, "four")
        visitor = visitor_of(own_site.url)
        async with page(own_site.url, visitor) as socket:
            generation = await ask(socket, "Count")
            await show(socket, ShownAnswer(), until="one ")
            own_site.web.kill()
        first.open()  # the worker goes on while nobody is there
        await second.was_reached()
        own_site.start_web()
        async with page(own_site.url, visitor) as socket:
            await attach(socket, generation)
            answer = await show(socket, ShownAnswer(), until="three ")
            second.open()
            await show(socket, answer, until=None)
        assert answer.state == "complete"
        assert script.text in answer.html
        assert len(worker.requests) == 1
        stored = own_site.query("SELECT content FROM conversations_message WHERE role = 'assistant'")
        assert stored == [(script.text,)]


async def test_a_web_process_that_is_told_to_end_lets_go_of_its_answers_at_once(own_site: LiveSite) -> None:
    with fake_worker() as worker:
        enrol_by_lease(own_site, worker)
        worker.play("one", Gate())
        async with page(own_site.url, visitor_of(own_site.url)) as socket:
            await ask(socket, "Count")
            await show(socket, ShownAnswer(), until="one")
            own_site.web.stop()
        rows = own_site.query(
            "SELECT g.state, g.reader, g.reader_lease_expires_at <= now(), m.content"
            " FROM conversations_generation g JOIN conversations_message m ON m.id = g.message_id"
        )
        assert rows == [("running", None, True, "one")]
        assert worker.cancelled == []


async def test_a_page_that_comes_back_at_another_replica_reads_on_and_can_stop_it(own_site: LiveSite) -> None:
    gate = Gate()
    # The other server that the site supports, so that both pass on the same frames.
    with fake_worker() as worker, replica(own_site, server="daphne") as other_url:
        enrol_by_lease(own_site, worker)
        worker.play("one ", "two ", gate, "never")
        visitor = visitor_of(own_site.url)
        async with page(own_site.url, visitor) as first, page(other_url, visitor) as second:
            generation = await ask(first, "Count")
            answer = await show(first, ShownAnswer(), until="two ")
            await attach(second, generation)
            same = await show(second, ShownAnswer(), until="two ")
            await second.send(json.dumps({"type": "turn.stop", "generation": generation}))
            await show(first, answer, until=None)
            await show(second, same, until=None)
        assert (answer.state, same.state) == ("stopped", "stopped")
        assert answer.html == same.html
        assert set(worker.cancelled) == {generation}
