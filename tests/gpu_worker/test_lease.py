"""Enrolment with the site, against a real HTTP server that stands in for it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gpu_worker.protocol import PROTOCOL_VERSION, LeaseGrant, LeaseRequest, ModelReport, ModelState
from gpu_worker.server.lease import Credentials, LeaseClient
from gpu_worker.server.models import ServingOptions
from gpu_worker.server.worker import Worker
from tests.gpu_worker.fake_site import ENROLMENT_TOKEN, FakeSite, fake_site
from tests.gpu_worker.live_worker import eventually


def lease_request() -> LeaseRequest:
    return LeaseRequest(
        protocol=PROTOCOL_VERSION,
        base_url="http://127.0.0.1:1",
        access_token="t",
        device="cpu",
        speed=1.0,
        queue_length=0,
        version="source",
        models=[ModelReport("tiny", ModelState.LOADING, progress=0.5)],
    )


@asynccontextmanager
async def enrolling(url: str, token: str = ENROLMENT_TOKEN) -> AsyncIterator[LeaseClient]:
    client = LeaseClient(url, "00000000-0000-0000-0000-000000000001", Credentials(token), lease_request)
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        task.cancel()


async def heard(site: FakeSite, n_leases: int) -> None:
    await asyncio.to_thread(site.wait, lambda: len(site.leases) >= n_leases)


async def test_a_worker_enrols_and_renews_at_once_when_something_changes() -> None:
    with fake_site() as site:
        async with enrolling(site.url) as client:
            await heard(site, 1)
            assert site.leases[0] == lease_request()
            client.poke()
            await heard(site, 2)


async def test_a_worker_is_ready_once_the_site_knows_that_its_models_are_loaded() -> None:
    worker = Worker([], ServingOptions(), access_token="t")
    worker.is_offered = False
    still_loading = lease_request()
    worker.site_took_note(still_loading)
    assert not worker.is_ready

    loaded = replace(still_loading, models=[ModelReport("tiny", ModelState.LOADED)])
    with fake_site() as site:
        client = LeaseClient(
            site.url, "id", Credentials(ENROLMENT_TOKEN), lambda: loaded, on_granted=worker.site_took_note
        )
        task = asyncio.create_task(client.run())
        await heard(site, 1)
        await asyncio.to_thread(eventually, lambda: worker.is_ready)
        task.cancel()


async def test_a_secret_is_kept_before_it_is_used_and_replaces_the_token() -> None:
    kept: list[str] = []
    credentials = Credentials(ENROLMENT_TOKEN, keep=kept.append)
    with fake_site() as site:
        site.answer = (200, LeaseGrant(expires_in_s=45, renew_in_s=15, drain=False, secret="s" * 40).to_json())
        client = LeaseClient(site.url, "id", credentials, lease_request)
        task = asyncio.create_task(client.run())
        await heard(site, 1)
        await asyncio.to_thread(eventually, lambda: credentials.header == {"Authorization": f"Bearer {'s' * 40}"})
        task.cancel()
    assert kept == ["s" * 40]


async def test_a_secret_that_cannot_be_kept_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def keep(secret: str) -> None:
        raise OSError("the disk is full")

    credentials = Credentials(ENROLMENT_TOKEN, keep=keep)
    with fake_site() as site:
        site.answer = (200, LeaseGrant(expires_in_s=45, renew_in_s=15, drain=False, secret="s" * 40).to_json())
        client = LeaseClient(site.url, "id", credentials, lease_request)
        task = asyncio.create_task(client.run())
        await asyncio.to_thread(eventually, lambda: "the disk is full" in caplog.text)
        task.cancel()
    assert credentials.header == {"Authorization": f"Bearer {ENROLMENT_TOKEN}"}


async def test_a_secret_that_the_site_does_not_know_gives_way_to_the_token() -> None:
    with fake_site() as site:
        client = LeaseClient(site.url, "id", Credentials(ENROLMENT_TOKEN, "forgotten"), lease_request)
        task = asyncio.create_task(client.run())
        await heard(site, 1)
        task.cancel()


async def test_it_renews_when_the_grant_says_so() -> None:
    with fake_site() as site:
        site.answer = (200, LeaseGrant(expires_in_s=3, renew_in_s=1, drain=False).to_json())
        async with enrolling(site.url):
            await heard(site, 2)


async def test_a_site_that_is_down_at_start_is_tried_until_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    caplog.set_level(logging.INFO, "gpu_worker.server.lease")
    async with enrolling(f"http://127.0.0.1:{port}"):
        await asyncio.to_thread(_until, lambda: "cannot be reached" in caplog.text)
        with fake_site(port) as site:
            await heard(site, 1)
            await asyncio.to_thread(_until, lambda: "enrolled with the site" in caplog.text)
    assert caplog.text.count("cannot be reached") == 1, "one line per change, not per try"


@pytest.mark.parametrize(
    ("answer", "token", "words"),
    [
        ((200, {}), "wrong", "refuses this worker (401): who are you?"),
        ((503, {}), ENROLMENT_TOKEN, "in trouble (503)"),
        ((400, {"error": {"message": "protocol 1 is not spoken here"}}), ENROLMENT_TOKEN, "protocol 1 is not spoken"),
        ((200, {"drain": 5}), ENROLMENT_TOKEN, "not a lease"),
    ],
)
async def test_what_is_wrong_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture, answer: tuple[int, object], token: str, words: str
) -> None:
    with fake_site() as site:
        site.answer = answer
        async with enrolling(site.url, token):
            await asyncio.to_thread(site.wait, lambda: site.n_tries >= 3)
    assert caplog.text.count(words) == 1


async def test_a_drain_by_an_admin_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gpu_worker.server.lease")
    with fake_site() as site:
        site.answer = (200, LeaseGrant(expires_in_s=45, renew_in_s=15, drain=True).to_json())
        async with enrolling(site.url):
            await asyncio.to_thread(_until, lambda: "out of dispatch" in caplog.text)


async def test_leaving_tells_the_site_and_a_silent_site_does_not_matter() -> None:
    with fake_site() as site:
        await LeaseClient(site.url, "w", Credentials(ENROLMENT_TOKEN), lease_request).leave()
        assert site.left == ["/internal/workers/w/lease"]
    await LeaseClient(site.url, "w", Credentials(ENROLMENT_TOKEN), lease_request).leave()


def _until(condition: object) -> None:
    from tests.gpu_worker.live_worker import eventually

    eventually(condition)  # type: ignore[arg-type]
