"""A chat with everything real but the model: Postgres, Redis, the ASGI application, a scripted worker over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from uuid import UUID

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connections
from redis.asyncio import Redis

from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.hints import GROUP
from apps.conversations.live.registry import readers_release
from tests.conversations.pages import Page, open_page
from tests.fake_worker import FakeWorker, enrol, fake_worker
from tests.socket_page import cookies_of

MODEL = "scripted"


class Opens(Protocol):
    """Opens the chat socket as a user, as a visitor, or as nobody."""

    def __call__(self, who: User | UUID | None = ...) -> AbstractAsyncContextManager[Page]: ...


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    """An enrolled worker of the test's own, which may be killed."""
    with fake_worker() as worker:
        enrol(worker, MODEL)
        yield worker


@pytest.fixture
def model(db: None) -> LanguageModel:
    """The worker's model, offered without a worker."""
    return LanguageModel.objects.create(name=MODEL)


@pytest_asyncio.fixture
async def opens(transactional_db: None) -> AsyncIterator[Opens]:
    @asynccontextmanager
    async def page(who: User | UUID | None = None) -> AsyncIterator[Page]:
        async with open_page(await sync_to_async(cookies_of)(who)) as opened:
            yield opened

    yield page
    await readers_release()
    # asgiref's thread keeps its connection, which would keep the test database from being dropped.
    await sync_to_async(connections.close_all)()


async def until_hints_are_heard() -> None:
    """Wait until this process has told Redis that it listens."""
    async with Redis.from_url(settings.REDIS_URL) as redis, asyncio.timeout(10):
        # the pace of asking, not a guess at how long it takes
        while not await redis.pubsub_channels(f"{get_channel_layer().prefix}*{GROUP}"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
