"""Tiny real models, made once per run of the tests."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gpu_worker.live_worker import LiveWorker
from tests.gpu_worker.tiny_models import Shape, make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never ends by itself, with a context of 512."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with room for 30,000 tokens: its answers last longer than any test looks at them."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "endless", shape=Shape(context=30_000))


@pytest.fixture(scope="session")
def templateless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has no chat template."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "templateless", chat_template=None)


@pytest.fixture
def client(live: LiveWorker) -> Iterator[httpx.Client]:
    """Talks to the worker of the module, which each module makes for itself."""
    with live.client() as client:
        yield client
