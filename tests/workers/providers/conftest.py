"""A server of somebody else's, and its row in the pool."""

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from apps.core.outbound import http_client
from apps.workers.models import Worker
from apps.workers.services import providers
from tests.certificates import certificate
from tests.workers.providers.support import KEY
from tests.workers.stand_in import StandIn, standing_in


@pytest.fixture
def server(transactional_db: None) -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def provider(server: StandIn) -> Worker:
    """A vLLM that serves `theirs` as `tiny`."""
    worker = providers.provider_create(label="lab", kind="vllm", base_url=server.base_url, key=KEY)
    providers.model_map(worker, name="tiny", upstream_name="theirs", context_length=1000)
    return worker


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    cert, key = certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


@pytest.fixture
def anthropic(transactional_db: None, tls: tuple[ssl.SSLContext, Path], settings: Any) -> Iterator[StandIn]:
    """Speaks as https://docs.claude.com/en/docs/build-with-claude/streaming and /en/api/errors tell; serves `tiny`."""
    settings.OUTBOUND_CA_FILE = str(tls[1])
    with standing_in(tls[0]) as server:
        worker = providers.provider_create(label="anthropic", kind="anthropic", base_url=server.base_url, key=KEY)
        providers.model_map(worker, name="tiny", upstream_name="claude", context_length=1000, longest_answer=64)
        yield server


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()
