"""Rules of one test must not hold in the next."""

from collections.abc import Iterator

import pytest

from apps.moderation import selectors
from tests.workers.stand_in import StandIn, standing_in


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
