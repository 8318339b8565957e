"""Start real Postgres and Redis before Django reads its settings, and end them with the test run.

Loaded by `-p` in pyproject.toml, because a conftest comes too late: pytest-django imports the settings first.
With DATABASE_URL and REDIS_URL set, those servers are used instead.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from fastchat_site.embedded.services import embedded_services, scratch_data_dir

_stack = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    if not os.environ.get("DATABASE_URL"):
        folder = _stack.enter_context(scratch_data_dir())
        services = _stack.enter_context(embedded_services(folder, durable=False))
        os.environ["DATABASE_URL"] = services.database_url
        os.environ["REDIS_URL"] = services.redis_url
    yield


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _stack.close()
