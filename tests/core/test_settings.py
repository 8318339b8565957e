"""Settings are loud on nonsense, and say which one it is."""

import pytest
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
