"""Debian's chromium, a tab per test, and a scripted worker beside the real one. Nothing here skips."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.fake_worker import FakeWorker, fake_worker
from tests.live import ROOT, LiveSite
from tests.web.support import ADMIN_PASSWORD, CHROMIUM, ChatPage, ScriptedWorker, new_chat_page

NewTab = Callable[..., ChatPage]


# Of each module, not of the session: while it is open its event loop would be in the way of asynchronous tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_tab(browser: Browser, live_site: LiveSite) -> Iterator[NewTab]:
    """Make tabs of people who do not know each other. Each one must end without an error on its console."""
    tabs: list[ChatPage] = []

    def make(**options: Any) -> ChatPage:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        tabs.append(new_chat_page(context, live_site))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.page.context.close()
    assert [problem for tab in tabs for problem in tab.problems] == []


@pytest.fixture
def tab(new_tab: NewTab) -> ChatPage:
    return new_tab()


@contextmanager
def scripted_worker(site: LiveSite, model: str) -> Iterator[ScriptedWorker]:
    """A worker with a model of its own, whose next answers the test writes with `worker.fake.play`."""
    with fake_worker() as fake:
        scripted = ScriptedWorker(site, fake, model)
        scripted.report()
        yield scripted
        site.query(
            "DELETE FROM workers_hostedmodel WHERE model_id IN"
            " (SELECT id FROM catalog_languagemodel WHERE name = %s) RETURNING id",
            model,
        )


@pytest.fixture
def worker(live_site: LiveSite) -> Iterator[ScriptedWorker]:
    with scripted_worker(live_site, f"scripted-{uuid4().hex[:8]}") as scripted:
        yield scripted


@pytest.fixture
def fake(worker: ScriptedWorker) -> FakeWorker:
    return worker.fake


@pytest.fixture(scope="session")
def superuser(live_site: LiveSite) -> str:
    """The name of one, whose password is `ADMIN_PASSWORD`."""
    name = f"root-{uuid4().hex[:8]}"
    make = f"from apps.accounts.models import User; User.objects.create_superuser({name!r}, None, {ADMIN_PASSWORD!r})"
    live_site.manage("shell", "--no-imports", "--command", make)
    return name


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Pictures for people to look at."""
    folder = ROOT / "test-artifacts"
    folder.mkdir(exist_ok=True)
    return folder
