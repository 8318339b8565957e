"""A dataset in a real browser: from the list to a row beside its source."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.datasets.support import dataset_publish
from tests.web.support import ChatPage, sign_in_as_admin

pytestmark = pytest.mark.browser

NewTab = Callable[..., ChatPage]


def test_somebody_of_the_staff_inspects_a_dataset(tab: ChatPage, superuser: str, tmp_path: Path) -> None:
    name = f"tea-{uuid4().hex[:8]}"
    dataset_publish(tab.site, tmp_path, name)
    page = sign_in_as_admin(tab, superuser, "/datasets")
    page.wait_for_url("**/datasets")

    page.get_by_role("link", name=f"{name}@1").click()
    page.wait_for_url(f"**/datasets/{name}/1")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{name}@1")
    expect(page.get_by_role("img", name="Lengths: 1 bars")).to_be_visible()
    expect(page.get_by_text("Changed by: html_to_markdown 3, trim_turns 3.")).to_be_visible()
    page.get_by_text("The numbers of languages").click()
    expect(page.get_by_role("region", name="Languages of all, numbers").get_by_role("row")).to_have_count(2)

    page.get_by_role("link", name="Look at its rows").click()
    page.wait_for_url(f"**/datasets/{name}/1/all/0")
    expect(page.locator("del").first).to_have_text("<b>")
    expect(page.locator("ins").first).to_have_text("**")
    expect(page.get_by_role("heading", name="user, taken away")).to_be_visible()
    page.get_by_label("Row with the id").fill("c2")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/datasets/{name}/1/all/2")
    expect(page.get_by_text("record 2 of dump.jsonl")).to_be_visible()
    expect(page.get_by_role("link", name="Next row")).to_have_count(0)
