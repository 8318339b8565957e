"""An arena of two scripted models, each on a worker of its own, so that a test decides how either of them writes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from uuid import UUID

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Position
from apps.conversations.live.registry import readers_release
from tests.arena.support import ArenaPage, Two, open_arena_page
from tests.fake_worker import enrol, fake_worker
from tests.socket_page import cookies_of

OWL, FOX = "owl-7b", "fox-13b"


class Opens(Protocol):
    """Opens the arena's socket as a user, as a visitor, or as nobody."""

    def __call__(self, who: User | UUID | None = ...) -> AbstractAsyncContextManager[ArenaPage]: ...


@pytest.fixture
def arena(db: None) -> Arena:
    """The one with which a site begins."""
    return Arena.objects.get()


@pytest.fixture
def two(transactional_db: None) -> Iterator[Two]:
    """Both contestants of the first arena."""
    with fake_worker() as owl, fake_worker() as fox:
        enrol(owl, OWL)
        enrol(fox, FOX)
        yield Two({OWL: owl, FOX: fox})


@pytest_asyncio.fixture
async def opens(transactional_db: None) -> AsyncIterator[Opens]:
    @asynccontextmanager
    async def page(who: User | UUID | None = None) -> AsyncIterator[ArenaPage]:
        async with open_arena_page(await sync_to_async(cookies_of)(who)) as opened:
            yield opened

    yield page
    await readers_release()
    # asgiref's thread keeps its connection, which would keep the test database from being dropped.
    await sync_to_async(connections.close_all)()


def on_side(battle: Battle, position: Position) -> str:
    """The name of the contestant there."""
    return battle.sides.get(position=position).contestant.name
