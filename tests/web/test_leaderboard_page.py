"""The leaderboard as people read it, in a real browser: sorted, drawn, opened and taken away."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        with page.expect_navigation():
            page.locator("table.board thead").get_by_role("link", name="Model").click()
        assert names(page) == list(turned)
    expect(page.get_by_role("columnheader", name="Model")).to_have_attribute("aria-sort", "descending")


@pytest.mark.parametrize("is_styled", [False, True])
def test_files_say_of_a_category_what_its_table_says(page: Page, is_styled: bool) -> None:
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Code").click()
    page.wait_for_url("**/leaderboard?category=code")
    if is_styled:
        page.get_by_role("link", name="With style taken out").click()
        page.wait_for_url("**/leaderboard?category=code&style=controlled")
        expect(page.get_by_role("columnheader", name="Rank as voted")).to_be_visible()
        expect(page.get_by_role("region", name="What style was worth").get_by_role("row")).to_have_count(5)
    page.get_by_role("columnheader", name="Model").get_by_role("link").click()
    page.wait_for_url("**sort=name**")
    assert names(page) == sorted(MODELS)
    shown = table(page)
    assert {row["votes"] for row in shown} == {"20"}
    files = [downloaded(page, link) for link in ("Board as CSV", "as JSON")]
    told = json.loads(files[1])
    assert (told["category"], told["is_style_controlled"]) == ("code", is_styled)
    for rows in (list(csv.DictReader(files[0].splitlines())), told["rows"]):
        assert sorted((as_shown(row) for row in rows), key=lambda row: row["name"]) == shown


def test_the_votes_of_a_board_can_be_taken_away(page: Page) -> None:
    votes = [json.loads(line) for line in downloaded(page, "The votes").splitlines()]
    assert len(votes) == 36
    assert {vote["model_a"] for vote in votes} | {vote["model_b"] for vote in votes} == set(MODELS)


def downloaded(page: Page, link: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("link", name=link).evaluate("link => { link.download = ''; link.click(); }")
    return Path(download.value.path()).read_text()


def table(page: Page) -> list[dict[str, str]]:
    """Each row of the board, cell by cell."""
    cells = {"rank": ".board__rank >> nth=0", "rating": ".board__rating", "bounds": ".board__bounds"}
    cells |= {name: f".board__{name}" for name in ("votes", "organisation", "licence")}
    return [
        {"name": row.locator("th a").inner_text()} | {name: row.locator(at).inner_text() for name, at in cells.items()}
        for row in page.locator("table.board tbody tr").all()
    ]


def as_shown(row: dict[str, Any]) -> dict[str, str]:
    """A row of a file in the words of the page."""
    rating, lower, upper = (float(row[name]) for name in ("rating", "lower", "upper"))
    shown = {"rating": f"{rating:.1f}", "bounds": f"{lower:.0f} to {upper:.0f}"}
    return shown | {name: str(row[name]) for name in ("name", "rank", "votes", "organisation", "licence")}


def test_a_chart_is_drawn_in_the_page_s_colours_and_told_in_words(page: Page) -> None:
    page.get_by_role("link", name="Charts", exact=True).click()
    page.wait_for_url("**/charts")
    chart = page.get_by_role("img", name="3 models by rating")
    expect(chart.locator("svg")).to_be_visible()
    point = chart.locator("svg .mark-symbol path").first
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        colours.append(point.evaluate("point => getComputedStyle(point).fill"))
    assert colours == ["rgb(14, 106, 91)", "rgb(111, 203, 184)"]
    page.get_by_role("link", name="Share of battles won").click()
    page.wait_for_url("**/charts/wins")
    expect(page.get_by_role("row", name="heron – 67% 67%")).to_be_visible()


def test_the_card_of_a_model_tells_whom_it_met(page: Page) -> None:
    page.get_by_role("link", name="lynx", exact=True).click()
    page.wait_for_url("**/models/**")
    expect(page.get_by_role("heading", level=1, name="lynx")).to_be_visible()
    expect(page.get_by_role("row", name="heron 12 4 8 0")).to_be_visible()


def test_who_verifies_finds_the_command(page: Page, live_site: LiveSite) -> None:
    page.get_by_text("Verify this table").click()
    command = page.locator("#verify code").first.inner_text()
    assert "give the same numbers" in live_site.manage(*command.split()[1:])


@pytest.mark.parametrize("query", ["", "?category=code&style=controlled"])
def test_on_a_phone_nothing_must_be_moved_sideways(new_tab: NewTab, live_site: LiveSite, query: str) -> None:
    page = new_tab(viewport={"width": 390, "height": 844}).page
    page.goto(f"{live_site.url}/leaderboard{query}")
    table = page.locator("#board")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")
    expect(page.get_by_role("link", name="heron", exact=True)).to_be_in_viewport()
