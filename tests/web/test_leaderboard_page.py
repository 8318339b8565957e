"""The leaderboard as people read it, in a real browser: sorted, drawn, opened and taken away."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.leaderboard.support import board_publish
from tests.live import LiveSite, running_site
from tests.web.conftest import NewTab

pytestmark = [pytest.mark.browser, pytest.mark.processes]

MODELS = ("heron", "lynx", "otter")
"""In the order of their ratings."""


@pytest.fixture(scope="module")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A site without workers, with a board of three models; tabs are opened there."""
    with running_site(tmp_path_factory.mktemp("leaderboard")) as site:
        board_publish(site, *MODELS)
        yield site


@pytest.fixture
def page(new_tab: NewTab, live_site: LiveSite) -> Page:
    tab = new_tab()
    tab.page.goto(live_site.url + "/leaderboard")
    return tab.page


def names(page: Page) -> list[str]:
    return page.locator("table.board tbody th a").all_inner_texts()


def test_a_visitor_reads_the_board_and_sorts_it_without_scripts(new_tab: NewTab, live_site: LiveSite) -> None:
    page = new_tab(java_script_enabled=False).page
    page.goto(live_site.url + "/leaderboard")
    assert names(page) == list(MODELS)
    for turned in (MODELS, MODELS[::-1]):
        page.locator("table.board thead").get_by_role("link", name="Model").click()
        assert names(page) == list(turned)
    expect(page.get_by_role("columnheader", name="Model")).to_have_attribute("aria-sort", "descending")


def test_downloads_have_what_the_page_has(page: Page) -> None:
    files = {}
    for link in ("Board as CSV", "as JSON", "The votes"):
        with page.expect_download() as download:
            page.get_by_role("link", name=link).evaluate("link => { link.download = ''; link.click(); }")
        files[link] = Path(download.value.path()).read_text()
    assert [row["name"] for row in csv.DictReader(files["Board as CSV"].splitlines())] == list(MODELS)
    assert [row["name"] for row in json.loads(files["as JSON"])["rows"]] == list(MODELS)
    assert len(files["The votes"].splitlines()) == json.loads(files["as JSON"])["votes"] == 36


def test_a_chart_is_drawn_in_the_page_s_colours_and_told_in_words(page: Page) -> None:
    page.get_by_role("link", name="Charts", exact=True).click()
    chart = page.get_by_role("img", name="3 models by rating")
    expect(chart.locator("svg")).to_be_visible()
    point = chart.locator("svg .mark-symbol path").first
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        colours.append(point.evaluate("point => getComputedStyle(point).fill"))
    assert colours == ["rgb(14, 106, 91)", "rgb(111, 203, 184)"]
    page.get_by_role("link", name="Share of battles won").click()
    expect(page.get_by_role("row", name="heron – 67% 67%")).to_be_visible()


def test_the_card_of_a_model_tells_whom_it_met(page: Page) -> None:
    page.get_by_role("link", name="lynx", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="lynx")).to_be_visible()
    expect(page.get_by_role("row", name="heron 12 4 8 0")).to_be_visible()


def test_who_verifies_finds_the_command(page: Page, live_site: LiveSite) -> None:
    page.get_by_text("Verify this table").click()
    command = page.locator("#verify code").first.inner_text()
    assert "give the same numbers" in live_site.manage(*command.split()[1:])


def test_on_a_phone_nothing_must_be_moved_sideways(new_tab: NewTab, live_site: LiveSite) -> None:
    page = new_tab(viewport={"width": 390, "height": 844}).page
    page.goto(live_site.url + "/leaderboard")
    table = page.locator("#board")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")
    expect(page.get_by_role("link", name="heron", exact=True)).to_be_in_viewport()
