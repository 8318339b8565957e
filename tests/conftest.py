"""What every test may ask for."""

import math
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.moderation import selectors
from tests.emptied import tables_empty
from tests.live import ROOT, LiveSite, running_site, tables_keep

# How long an example takes depends on what else the machine does, and on models that the first one loads.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

DEMO_BASE = ROOT / "examples" / "models" / "demo-base"


@pytest.fixture(scope="session", autouse=True)
def quickly_emptied() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", tables_empty)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The test database, of which sites get a copy from before any test."""
    with django_db_blocker.unblock():
        connection.close()
        # Nobody may be connected to what is copied.
        connection.close_pool()  # type: ignore[attr-defined]  # of Postgres's backend
    tables_keep(connection.settings_dict["NAME"])


@pytest.fixture
def alice(db: None) -> User:
    """Owns what a test makes."""
    return User.objects.create_user("alice", "alice@example.org", "correct horse")


@pytest.fixture
def bob(db: None) -> User:
    """A peer of Alice's."""
    return User.objects.create_user("bob", "bob@example.org", "battery staple")


@pytest.fixture
def charlie(db: None) -> User:
    """A stranger: knocks on every door and finds it shut."""
    return User.objects.create_user("charlie", "charlie@example.org", "paper clip")


@pytest.fixture
def visitor() -> UUID:
    """The public id in a visitor's cookie."""
    return uuid4()


@pytest.fixture
def rules_loaded(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moderation's, for as long as a test takes: else they are asked for now and then, among queries that it counts."""
    monkeypatch.setattr(selectors, "FRESH_S", math.inf)
    selectors.forget()
    selectors.decided()


@pytest.fixture
def alices(alice: User) -> Actor:
    return Actor(user_id=alice.pk)


@pytest.fixture
def charlies(charlie: User) -> Actor:
    return Actor(user_id=charlie.pk)


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The whole site with the shipped demo-base on a real worker. Shared: leave it running and whole."""
    with running_site(tmp_path_factory.mktemp("live")) as site:
        site.start_worker(DEMO_BASE, "demo-base")
        yield site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[LiveSite]:
    """A site of the test's own, without workers, whose processes it may kill."""
    with running_site(tmp_path) as site:
        yield site
