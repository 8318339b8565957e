"""Start real Postgres and Redis before Django reads its settings, and end them with the test run.

Loaded by `-p` in pyproject.toml, because a conftest comes too late: pytest-django imports the settings first.
With DATABASE_URL and REDIS_URL set, those servers are used instead. Processes that share the tests among them
(`pytest --numprocesses`) each have servers of their own; on servers that were given, each has databases of its own
(pytest-django) and names of its own in Redis (`fastchat_site.settings.test`), so that none sees what another has left.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from fastchat_site.embedded.services import embedded_services, scratch_data_dir

OURS = "FASTCHAT_TEST_SERVICES"
"""Tells the processes among which the tests are shared that the addresses in the environment are another one's."""

DATA_DIR = "FASTCHAT_TEST_DATA_DIR"
"""Where the servers that were started here keep their files and logs."""

at_end = ExitStack()
"""What is undone when the test run ends, the last first."""


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    is_shared = "PYTEST_XDIST_WORKER" in os.environ and OURS in os.environ
    if is_shared or not os.environ.get("DATABASE_URL"):
        folder = at_end.enter_context(scratch_data_dir())
        services = at_end.enter_context(embedded_services(folder, durable=False))
        os.environ["DATABASE_URL"] = services.database_url
        os.environ["REDIS_URL"] = services.redis_url
        os.environ[OURS] = "embedded"
        os.environ[DATA_DIR] = str(services.data_dir)
    yield


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    at_end.close()
