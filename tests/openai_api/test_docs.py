"""Each example of docs/api.md is run as it stands there, against a live site, and the page in /api/docs is opened."""

import re
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.live import ROOT, LiveSite
from tests.web.support import CHROMIUM, WAIT_MS

pytestmark = pytest.mark.processes

PAGE = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^## ([^\n]+)\n|^```(sh|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODELS = {"demo-base": "tiny", "my-embedder": "vectors"}


def examples() -> list[Any]:
    found: list[Any] = []
    section = ""
    for title, language, code in EXAMPLES:
        section = title or section
        if language:
            found.append(pytest.param(language, code, id=f"{section}-{language}"))
    return found


@pytest.mark.parametrize(("language", "code"), examples())
def test_an_example_of_the_documentation_works(api_site: LiveSite, api_key: str, language: str, code: str) -> None:
    for written, here in MODELS.items():
        code = code.replace(written, here)
    argv = [sys.executable, "-c", code] if language == "python" else ["bash", "-eu", "-c", code]
    env = api_site.env | {"OPENAI_BASE_URL": f"{api_site.url}/v1", "OPENAI_API_KEY": api_key, "NO_PROXY": "*"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_every_part_of_the_api_has_an_example_in_both_languages() -> None:
    sections = [str(example.id) for example in examples()]
    for section in (
        "Models",
        "Chats",
        "Responses",
        "Texts",
        "Vectors",
        "Moderation",
        "Battles and votes",
        "Chats that are kept",
        "Files and batches",
    ):
        assert {f"{section}-sh", f"{section}-python"} <= set(sections)
    assert "Tokens-sh" in sections  # the SDK has no such call


@pytest.mark.browser
def test_the_page_of_the_api_shows_its_endpoints_and_breaks_no_policy(api_site: LiveSite) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(f"{api_site.url}/api/docs")
        expect(page.get_by_text("Answer a chat")).to_be_visible(timeout=WAIT_MS)
        page.get_by_text("Answer a chat").click()
        expect(page.get_by_text("17 + 25").first).to_be_visible(timeout=WAIT_MS)
        browser.close()
    assert problems == []
