"""The pictures of README and docs: the site as it is, with the models that come with it.

`make screenshots` keeps them in docs/images. They are taken from real pages in the order in which a team meets them:
chat, battle, reveal, leaderboard, moderation, pool.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.fake_worker import fake_worker
from tests.live import ROOT, LiveSite, running_site
from tests.web.support import WAIT_MS, ChatPage, ScriptedWorker, new_chat_page, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.processes]

NAMES = ("demo-base", "demo-small")
QUESTION = "How fast does a cup of tea cool?"
WIDE, PHONE = {"width": 1200, "height": 860}, {"width": 390, "height": 760}
MAX_BYTES = 120 * 1024
COLOURS = 128

ANSWER = """Most of the warmth goes into the air. By Newton's law of cooling

$$T(t) = T_{room} + (T_0 - T_{room}) e^{-kt}$$

so a cup at 90 °C in a room of 20 °C is down to 60 °C after about eight minutes:

```python
from math import log

def minutes_until(target, start=90, room=20, k=0.07):
    return log((start - room) / (target - room)) / k
```

| cup | k per minute |
|---|---|
| thin porcelain | 0.09 |
| thick mug | 0.05 |
"""

# Drawn battles of models that do not exist: a new site has no votes to show.
BOARD = """
from benchmarks.web_data import board_publish
names = ("Heron 70B", "Ibis 34B", "Kestrel 13B", "Lark 13B", "Magpie 8B", "Nuthatch 7B", "Osprey 3B", "Wren 1B")
board_publish(names, 3000)
"""
ADMIN = """
from apps.accounts.models import User
from apps.moderation.models import Rule
User.objects.create_superuser("moderator", "moderator@example.org", "a long enough one")
Rule.objects.create(name="House words", category="rude", kind="words", pattern="blast\\nbother")
Rule.objects.create(name="Project names", category="confidential", kind="words", pattern="Bluebird\\nGoldfinch")
"""
GONE = "from apps.workers.models import Worker; Worker.objects.filter(device='scripted').delete()"
SAID = ("Oh bother, it fails again", "Summarise the Bluebird plan", "Blast it", "What is Goldfinch?", "Bother!")


@dataclass
class Scene:
    """A site with something on it, a person's tab, and where pictures go."""

    site: LiveSite
    tab: ChatPage
    folder: Path

    @property
    def page(self) -> Page:
        return self.tab.page

    def keep(self, name: str) -> None:
        """Take the picture, with no more colours than a page needs: a third of the bytes."""
        self.page.wait_for_load_state("networkidle")
        shot = Image.open(BytesIO(self.page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
        few = shot.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(self.folder / f"{name}.png", optimize=True)


@pytest.fixture(scope="module")
def scene(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = ROOT / "test-artifacts" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    with running_site(tmp_path_factory.mktemp("pictures")) as site:
        for name in NAMES:
            site.start_worker(ROOT / "examples" / "models" / name, name)
        site.manage("shell", "--no-imports", "--command", ADMIN)
        context = browser.new_context(viewport=WIDE, reduced_motion="reduce")  # type: ignore[arg-type]
        tab = new_chat_page(context, site)
        sign_up(tab, "ada")
        yield Scene(site, tab, folder)
        context.close()


def _chat(scene: Scene) -> None:
    with fake_worker() as fake:
        worker = ScriptedWorker(scene.site, fake, "kestrel-13b")
        worker.report()
        two = (("Three names for a reading group", "Paper Trail, First Drafts, The Margins."), (QUESTION, ANSWER))
        for question, answer in two:
            fake.play(answer)
            scene.tab.open(model=worker.model).send(question)
            scene.tab.wait_for_state("complete")
        scene.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        scene.keep("chat")
        scene.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        scene.page.emulate_media(color_scheme="dark")
        scene.keep("chat-phone-dark")
        scene.page.emulate_media(color_scheme="light")
        scene.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        scene.site.manage("shell", "--no-imports", "--command", GONE)


def _battle(scene: Scene) -> None:
    scene.tab.open("/arena").send("How do I make tea?")
    scene.page.wait_for_function(
        "() => document.querySelector('[data-verdict=\"a\"]').getAttribute('aria-disabled') === 'false'"
    )
    scene.keep("arena-battle")


def _reveal(scene: Scene) -> None:
    # As if somebody had read both.
    scene.site.query(
        "UPDATE conversations_generation SET created_at = created_at - i, finished_at = finished_at - i"
        " FROM (SELECT interval '2 minutes' AS i) AS shift RETURNING id"
    )
    scene.page.click('[data-verdict="a"]')
    scene.page.locator("#result").wait_for()
    scene.keep("arena-reveal")


def _leaderboard(scene: Scene) -> None:
    scene.site.manage("shell", "--no-imports", "--command", BOARD)
    scene.page.goto(scene.site.url + "/leaderboard")
    scene.page.get_by_text("Heron 70B").first.wait_for()
    scene.keep("leaderboard")


def _moderation(scene: Scene) -> None:
    headers = {"Authorization": f"Bearer {scene.site.manage('apikey', 'create', 'newsroom').strip()}"}
    for said in SAID:
        body = {"model": NAMES[0], "messages": [{"role": "user", "content": said}]}
        reply = httpx.post(f"{scene.site.url}/v1/chat/completions", json=body, headers=headers, trust_env=False)
        assert reply.status_code == 403
    scene.page.goto(scene.site.url + "/accounts/logout/")
    scene.page.get_by_role("button", name=re.compile("sign out", re.IGNORECASE)).last.click()
    scene.page.goto(scene.site.url + "/admin/login/?next=/admin/moderation/incident/")
    scene.page.fill("#id_username", "moderator")
    scene.page.fill("#id_password", "a long enough one")
    scene.page.keyboard.press("Enter")
    scene.page.get_by_text("House words").first.wait_for()
    scene.keep("moderation")


def _pool(scene: Scene) -> None:
    scene.page.goto(scene.site.url + "/admin/workers/worker/pool/")
    scene.page.locator(".pool__worker").first.wait_for()
    scene.keep("pool")


SCENES: list[Callable[[Scene], None]] = [_chat, _battle, _reveal, _leaderboard, _moderation, _pool]
PICTURES = {"chat", "chat-phone-dark", "arena-battle", "arena-reveal", "leaderboard", "moderation", "pool"}


def test_pictures_are_taken_of_what_readers_are_shown(scene: Scene) -> None:
    scene.page.set_default_timeout(2 * WAIT_MS)
    for take in SCENES:
        take(scene)
    made = {path.stem: path.stat().st_size for path in scene.folder.glob("*.png")}
    assert set(made) == PICTURES
    assert max(made.values()) < MAX_BYTES
