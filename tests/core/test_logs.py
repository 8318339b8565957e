"""What must not be in the log."""

import httpx
import pytest

from apps.core.logs import pseudonym
from tests.live import LiveSite, wait_until

pytestmark = pytest.mark.processes


def test_what_somebody_searches_for_is_not_in_the_log(own_site: LiveSite) -> None:
    assert httpx.get(own_site.url + "/chats/search", params={"q": "my illness"}).status_code == 200
    log = own_site.web.log
    wait_until(lambda: "GET /chats/search " in log.read_text(), what="the line of the search")
    assert "illness" not in log.read_text()
    assert "200" in next(line for line in log.read_text().splitlines() if "/chats/search" in line)


def test_a_name_has_one_number_and_another_name_another_one() -> None:
    assert pseudonym("u-42") == pseudonym("u-42") != pseudonym("u-43")
