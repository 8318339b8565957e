"""Every page as it stands, in four shapes: axe-core finds nothing wrong with it, nothing overflows, and it is pictured.

The pictures are for people: `make screenshots` makes them, in test-artifacts/pages. axe-core finds perhaps half of what
makes a page hard to use; docs/accessibility.md says what else is tried, and where.

Source: Deque, axe-core, "API documentation"; W3C, WCAG 2.2.
"""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.datasets.support import dataset_publish
from tests.fake_worker import FakeWorker
from tests.gpu_worker.tiny_vision import picture
from tests.leaderboard.support import board_publish
from tests.live import ROOT, LiveSite
from tests.web.conftest import scripted_worker
from tests.web.support import ChatPage, new_chat_page, sign_up
from tests.web.test_arena_page import wait_until_judged

pytestmark = pytest.mark.browser

AXE = ROOT / ".cache" / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHAPES = {
    "light": ("light", 1300, 850),
    "dark": ("dark", 1300, 850),
    "light-phone": ("light", 390, 844),
    "dark-phone": ("dark", 390, 844),
}
ANSWER = """# Tea

Boil **fresh** water, then [pour](https://example.org/tea) it:

1. over the leaves,
2. for three minutes.

| leaf | minutes |
|---|---|
| green | 2 |
| black | 4 |

```python
def steep(minutes: int) -> str:
    return "tea" if minutes > 2 else "warm water"  # patience
```

> Never boil it twice.
"""
MODELS = ("owl", "fox")


@dataclass(frozen=True)
class Opened:
    """What somebody has made on the site, so that its pages are not empty."""

    tab: ChatPage
    chat: str
    pictured: str
    columns: str
    link: str
    battle: str
    name: str


@pytest.fixture(scope="module")
def person(browser: Browser, live_site: LiveSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Somebody with an account, a chat, a shared link, an API key and a battle."""
    with ExitStack() as workers:
        owl, fox = (workers.enter_context(scripted_worker(live_site, name)).fake for name in MODELS)
        tab = new_chat_page(browser.new_context(), live_site)
        name = sign_up(tab)
        owl.play(ANSWER)
        tab.open(model="owl").send("How do I make tea?")
        tab.wait_for_state("complete")
        chat = tab.page.url
        link = _shared(tab)
        pictured = _show_image(tab, owl)
        columns = _ask_both(tab, (owl, fox))
        _make_key(tab)
        battle = _fight(tab, (owl, fox))
        board_publish(live_site, *MODELS, n=30)
        dataset_publish(live_site, tmp_path_factory.mktemp("data"), "every-page")
        _release(live_site, name, "every-page")
        yield Opened(tab, chat, pictured, columns, link, battle, name)
        tab.page.context.close()


def _shared(tab: ChatPage) -> str:
    tab.page.click("#share-open")
    tab.page.get_by_role("button", name="Make a link").click()
    return str(
        tab.page.locator("#share-links input[readonly], #share-links a").first.evaluate("e => e.value || e.href")
    )


def _image(width: int, height: int) -> FilePayload:
    file = io.BytesIO()
    picture(width, height).save(file, "PNG")
    return {"name": f"a slope {width} wide.png", "mimeType": "image/png", "buffer": file.getvalue()}


def _show_image(tab: ChatPage, owl: FakeWorker) -> str:
    tab.site.query("UPDATE catalog_languagemodel SET sees_images = TRUE WHERE name = 'owl' RETURNING id")
    owl.play("A slope, from dark to light.")
    tab.open(model="owl").text_box.fill("What is this?")
    tab.page.set_input_files("#attach-file", [_image(900, 500), _image(300, 400)])
    expect(tab.page.locator("#composer-images").get_by_role("listitem")).to_have_count(2)
    tab.text_box.press("Enter")
    tab.wait_for_state("complete")
    return tab.page.url


def _ask_both(tab: ChatPage, fakes: tuple[FakeWorker, FakeWorker]) -> str:
    for fake in fakes:
        fake.play(ANSWER)
    tab.open(model="owl")
    tab.page.click("#beside-open")
    for name in MODELS:
        tab.page.get_by_role("checkbox", name=name).check()
    tab.page.get_by_role("button", name="Ask these").click()
    tab.send("How do I make tea?")
    tab.wait_for_state("complete", count=2)
    return tab.page.url


def _make_key(tab: ChatPage) -> None:
    tab.page.goto(tab.site.url + "/account/keys")
    tab.page.get_by_label("Name").fill("laptop")
    tab.page.get_by_role("button", name="Create key").click()


def _fight(tab: ChatPage, fakes: tuple[FakeWorker, FakeWorker]) -> str:
    for fake in fakes:
        fake.play(ANSWER)
    tab.open("/arena/side-by-side")
    for letter, name in zip("AB", MODELS, strict=True):
        tab.page.select_option(f"#choice-{letter}", label=name)
    tab.send("How do I make tea?")
    wait_until_judged(tab.page)
    return tab.page.url


Open = Callable[[Page, str, Opened], None]


def at(path: str) -> Open:
    return lambda page, site, person: _goto(page, site + path)


def _goto(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")


def _board(query: str) -> Open:
    """A board of its own kind: where there is none its page has no table."""

    def open_it(page: Page, site: str, person: Opened) -> None:
        _goto(page, f"{site}/leaderboard?{query}")
        page.locator("table.board").wait_for()

    return open_it


def _follow(page: Page, address: str, link: str) -> None:
    _goto(page, address)
    page.locator("main").get_by_role("link", name=link, exact=True).click()
    page.wait_for_load_state("networkidle")


def _chat(page: Page, site: str, person: Opened) -> None:
    _goto(page, person.chat)
    page.locator(".message--answer[data-state=complete]").wait_for()


def _images(page: Page, site: str, person: Opened) -> None:
    """Some were sent, others are above the message box."""
    _goto(page, person.pictured)
    page.set_input_files("#attach-file", [_image(100 * n, 200) for n in range(1, 6)])
    expect(page.locator("#composer-images").get_by_role("listitem")).to_have_count(5)


def _dialog(button: str, dialog: str) -> Open:
    def open_it(page: Page, site: str, person: Opened) -> None:
        _chat(page, site, person)
        page.evaluate("selector => document.querySelector(selector).click()", button)  # on phones it is in a drawer
        page.locator(f"{dialog}[open]").wait_for()
        page.wait_for_load_state("networkidle")

    return open_it


def _erasure(page: Page, site: str, person: Opened) -> None:
    """As a visitor: the person of these tests is needed."""
    _goto(page, site + "/chat")
    _goto(page, site + "/account/erase")
    page.get_by_label("Erase all of it").check()
    page.get_by_role("button", name="Erase everything").click()
    page.wait_for_url("**/account/erasures/*")


def _appeals(page: Page, site: str, person: Opened) -> None:
    """With something that was refused, and somebody who is about to say why that was wrong."""
    person.tab.site.query(
        "INSERT INTO moderation_incident (surface, direction, action, categories, found_by, user_id, network_digest,"
        " reference, request_id, created_at, review) SELECT 'chat', 'in', 'refuse', '{rude}', '{House words}', id, '',"
        " '', '', now(), 'open' FROM accounts_user WHERE username = %s RETURNING id",
        person.name,
    )
    _goto(page, site + "/account/appeals")
    page.locator(".sheet summary").first.click()


_AS_STAFF = "UPDATE accounts_user SET is_staff = {0}, is_superuser = {0} WHERE username = %s RETURNING id"


def _release(site: LiveSite, name: str, dataset: str) -> None:
    """Propose its version, and take a row of it down."""
    site.query(_AS_STAFF.format("true"), name)
    site.manage("dataset", "release", f"{dataset}@1", "--by", name)
    site.manage("dataset", "takedown", dataset, "c2", "--why", "A letter.")
    site.query(_AS_STAFF.format("false"), name)


def _dataset(path: str) -> Open:
    """For as long as it takes to open it, the person is one of the staff."""

    def open_it(page: Page, site: str, person: Opened) -> None:
        person.tab.site.query(_AS_STAFF.format("true"), person.name)
        _goto(page, site + path)
        assert page.locator("h1").inner_text() != "This is not open to you"
        person.tab.site.query(_AS_STAFF.format("false"), person.name)

    return open_it


OF_EVERYBODY: dict[str, Open] = {
    "chat, empty": at("/chat"),
    "arena": at("/arena"),
    "arena, side by side": at("/arena/side-by-side"),
    "arena, rules": at("/arena/rules"),
    "leaderboard": at("/leaderboard"),
    "leaderboard, code": _board("category=code"),
    "leaderboard, code, style taken out": _board("category=code&style=controlled"),
    "leaderboard, no such category": at("/leaderboard?category=nothing"),
    "leaderboard, model": lambda page, site, person: _follow(page, site + "/leaderboard", MODELS[0]),
    "leaderboard, intervals": at("/leaderboard/of/public/charts"),
    "leaderboard, shares won": at("/leaderboard/of/public/charts/wins"),
    "leaderboard, expected shares": at("/leaderboard/of/public/charts/predicted"),
    "leaderboard, prices": at("/leaderboard/of/public/charts/price"),
    "leaderboard, live": at("/leaderboard/of/public/live"),
    "leaderboard, log": at("/leaderboard/of/public/log"),
    "sign in": at("/accounts/login/"),
    "sign up": at("/accounts/signup/"),
    "password, forgotten": at("/accounts/password/reset/"),
    "no such page": at("/nothing-here"),
    "chats, none": at("/chats"),
    "my data, of nobody": at("/account/erase"),
    "my data, erasure": _erasure,
    "shared chat": lambda page, site, person: _goto(page, person.link),
}
OF_A_PERSON: dict[str, Open] = {
    "chat": _chat,
    "chat, settings": _dialog("#settings-open", "#dialog-settings"),
    "chat, share": _dialog("#share-open", "#dialog-share"),
    "chat, several models": _dialog("#beside-open", "#dialog-beside"),
    "chat, side by side": lambda page, site, person: _goto(page, person.columns),
    "chat, images": _images,
    "chat, shortcuts": _dialog("[data-opens=dialog-shortcuts]", "#dialog-shortcuts"),
    "chats": at("/chats"),
    "chats, import": at("/chats/import"),
    "chats, shared": at("/chats/shared"),
    "chats, search": at("/chats/search?q=tea"),
    "arena, battle": lambda page, site, person: _goto(page, person.battle),
    "API keys": at("/account/keys"),
    "usage": at("/account/usage"),
    "who read": at("/account/openings"),
    "my data": at("/account/erase"),
    "appeals": _appeals,
    "password": at("/accounts/password/change/"),
    "sign out": at("/accounts/logout/"),
    "datasets": _dataset("/datasets"),
    "dataset, version": _dataset("/datasets/every-page/1"),
    "dataset, row": _dataset("/datasets/every-page/1/all/0"),
}


@pytest.mark.parametrize("name", OF_EVERYBODY)
def test_a_page_of_everybody_is_accessible(
    name: str, browser: Browser, live_site: LiveSite, person: Opened, artifacts: Path
) -> None:
    context = browser.new_context()
    OF_EVERYBODY[name](page := context.new_page(), live_site.url, person)
    assert _wrong(page, name, artifacts) == {}
    context.close()


@pytest.mark.parametrize("name", OF_A_PERSON)
def test_a_persons_page_is_accessible(name: str, live_site: LiveSite, person: Opened, artifacts: Path) -> None:
    page = person.tab.page
    OF_A_PERSON[name](page, live_site.url, person)
    assert _wrong(page, name, artifacts) == {}


def _wrong(page: Page, name: str, artifacts: Path) -> dict[str, list[str]]:
    """What is wrong with a page, by its shape. Leaves a picture of each."""
    assert AXE.is_file(), "axe-core is missing: run `make node`"
    page.evaluate(AXE.read_text())
    folder = artifacts / "pages"
    folder.mkdir(exist_ok=True)
    found = {}
    for shape, (scheme, width, height) in SHAPES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.screenshot(path=folder / f"{re.sub('[^a-z]+', '-', name.lower())}-{shape}.png")
        wrong = _violations(page) + _overflow(page)
        if wrong:
            found[shape] = wrong
    return found


def _violations(page: Page) -> list[str]:
    report = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [
        f"{one['id']}: {one['help']}: {json.dumps([node['html'][:160] for node in one['nodes'][:3]])}"
        for one in report["violations"]
    ]


def _overflow(page: Page) -> list[str]:
    """A page that must be moved sideways to be read. Source: WCAG 2.2, success criterion 1.4.10."""
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if wide <= screen:
        return []
    widest = page.evaluate(
        "screen => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > screen)"
        ".map(e => e.outerHTML.slice(0, 120))",
        screen,
    )
    return [f"the page is {wide} pixels wide on a screen of {screen}, because of {json.dumps(widest[:4])}"]
