"""A scripted worker behind the gate, a classifier's server, and no rules of the test before."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import NewKey, api_key_create
from apps.conversations.live.registry import readers_release
from apps.moderation import selectors
from apps.moderation.models import Classifier, Rule
from tests.fake_worker import FakeWorker, enrol, fake_worker
from tests.workers.stand_in import StandIn, standing_in

MODEL = "scripted"


@pytest.fixture(autouse=True)
def look_anew() -> Iterator[None]:
    selectors.forget()
    yield
    selectors.forget()


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A classifier's server, which answers what a test tells it."""
    with standing_in() as server:
        yield server


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    with fake_worker() as worker:
        enrol(worker, MODEL)
        yield worker


@pytest.fixture
def key(alice: User) -> NewKey:
    return api_key_create(name="alices", user=alice)


@pytest.fixture
def rude(transactional_db: None) -> Rule:
    return Rule.objects.create(name="House words", category="rude", kind="words", pattern="bother\nblast")


@pytest_asyncio.fixture
async def closing() -> AsyncIterator[None]:
    yield
    await readers_release()
    await sync_to_async(connections.close_all)()


def post(client: Client, key: NewKey, path: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {key.secret}"}
    return client.post(path, {"model": MODEL, **body}, content_type="application/json", headers=headers)


def verdict(**categories: bool) -> dict[str, Any]:
    """One result of a classifier's."""
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": {name: 0.9 if is_found else 0.1 for name, is_found in categories.items()},
    }


def classifier(server: StandIn, **fields: Any) -> Classifier:
    made = Classifier(name="judge", base_url=server.base_url, model_name="judge-1", **fields)
    made.key = "sk-judge"
    made.save()
    return made
