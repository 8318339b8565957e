"""Pages that belong to no app."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_operators_name_for_the_site_is_on_its_pages(client: Client, settings: pytest.FixtureRequest) -> None:
    settings.SITE_NAME = "Our Models"  # type: ignore[attr-defined]
    for path in ("/chat", "/accounts/login/"):
        assert "<title>" in (page := client.get(path).content.decode())
        assert "Our Models" in page
        assert "FastChat Site" not in page


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_the_site_says_that_it_is_well(client: Client, path: str) -> None:
    assert client.get(path).json() == {"status": "ok"}
