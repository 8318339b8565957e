"""Settings are loud on nonsense, and say which one it is."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import current_app
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fastchat_site.settings.values import flag, seconds, whole


@pytest.mark.parametrize("text", ["", "5 min", "1e3", "-1", "1.5", "1_000", "²", "0x10", "9" * 19, "0"])
def test_a_whole_number_is_one_or_is_refused_by_name(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"QUEUE_MAX is .*whole number"):
        whole("QUEUE_MAX", text)


@pytest.mark.parametrize("text", ["", "5 min", "-1", "inf", "nan"])
def test_a_duration_is_one_or_is_refused_by_name(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="QUEUE_WAIT_S is "):
        seconds("QUEUE_WAIT_S", text)


@pytest.mark.parametrize("text", ["", "ture", "enabled", "2"])
def test_a_switch_is_one_or_is_refused_by_name(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"VISITORS_MAY_CHAT is .*true, yes"):
        flag("VISITORS_MAY_CHAT", text)


def test_what_is_plain_is_read() -> None:
    assert (whole("N", " 0012 "), whole("N", "0", least=0), seconds("S", "1e3")) == (12, 0, 1000.0)
    assert [flag("F", text) for text in ("True", "1", "on", "FALSE", "0", " no ")] == [True] * 3 + [False] * 3


async def test_a_process_that_shares_the_tests_hears_no_other_one_on_the_same_redis() -> None:
    """The other is a process of the same run, as `pytest --numprocesses` makes them, on servers that were given."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("hints", channel)
    tell = (
        "import asyncio, sys, django; django.setup(); from channels.layers import get_channel_layer;"
        "asyncio.run(get_channel_layer().group_send('hints', {'type': 'hint', 'of': sys.argv[1]}))"
    )
    own = os.environ.get("PYTEST_XDIST_WORKER", "")
    for process in ("gw77", own):
        other = [sys.executable, "-c", tell, process]
        await asyncio.to_thread(
            subprocess.run, other, check=True, env=os.environ | {"PYTEST_XDIST_WORKER": process}, timeout=60
        )
    async with asyncio.timeout(10):
        assert (await layer.receive(channel))["of"] == own
    await layer.group_discard("hints", channel)


def test_jobs_go_to_the_sites_own_broker_from_any_thread() -> None:
    with ThreadPoolExecutor() as threads:
        address = threads.submit(lambda: current_app.conf.broker_url).result()
    assert address == current_app.conf.broker_url == settings.CELERY_BROKER_URL
