"""Battles as people fight them, in a real browser, of the two shipped models, or of scripted ones for faults."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.fake_worker import Fail, Gate, fake_worker
from tests.live import ROOT, LiveSite, running_site
from tests.web.attacks import ATTACKS
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page

pytestmark = [pytest.mark.browser, pytest.mark.processes]

NAMES = ("demo-base", "demo-small")
QUESTION = "What is the capital of Japan?"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

Tabs = Callable[..., ChatPage]


@pytest.fixture(scope="module")
def arena_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A site with both shipped models on real workers."""
    with running_site(tmp_path_factory.mktemp("arena")) as site:
        for name in NAMES:
            site.start_worker(ROOT / "examples" / "models" / name, name)
        yield site


@pytest.fixture(scope="module")
def emptied_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with running_site(tmp_path_factory.mktemp("emptied")) as site:
        yield site


@pytest.fixture
def own_site(emptied_site: LiveSite) -> Iterator[LiveSite]:
    """As good as one of the test's own: what others have left is gone. Starting one takes seconds."""
    yield emptied_site
    emptied_site.clear()


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Tabs of people who do not know each other. Each one must end without an error on its console."""
    made: list[ChatPage] = []

    def make(site: LiveSite, **options: Any) -> ChatPage:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        made.append(new_chat_page(context, site))
        return made[-1].open("/arena")

    yield make
    for tab in made:
        tab.page.context.close()
    assert [problem for tab in made for problem in tab.problems] == []


@pytest.fixture
def scripted(own_site: LiveSite) -> Iterator[dict[str, ScriptedWorker]]:
    """Two scripted models, and a third for a new opponent, which are all that the site has."""
    with fake_worker() as owl, fake_worker() as fox, fake_worker() as elk:
        workers = {
            name: ScriptedWorker(own_site, fake, name) for name, fake in (("owl", owl), ("fox", fox), ("elk", elk))
        }
        workers["owl"].report()
        workers["fox"].report()
        yield workers


def wait_until_judged(page: Page) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-verdict=\"a\"]')?.getAttribute('aria-disabled') === 'false'"
    )


def ask(tab: ChatPage, text: str) -> None:
    """Both answer, and may be judged."""
    tab.send(text)
    wait_until_judged(tab.page)


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()


def side(page: Page, letter: str) -> Locator:
    return page.locator(f"[data-side={letter}]").last


def test_a_whole_battle_by_keyboard_alone(arena_site: LiveSite, tabs: Tabs) -> None:
    page = tabs(arena_site).page
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    wait_until_judged(page)
    assert all(name not in page.content() for name in NAMES)
    for letter in "ab":
        assert side(page, letter).locator("[data-part=body]").inner_text().strip()

    page.keyboard.press("Escape")
    expect(page.locator("[data-verdict=a]")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#result-title")).to_be_focused()

    expect(page.locator("#result-title")).to_have_text("Your vote: B is better")
    told = page.locator("[data-part=two]").inner_text()
    assert all(name in told for name in NAMES)
    assert {side(page, letter).locator("[data-part=name]").inner_text() for letter in "ab"} == set(NAMES)
    assert arena_site.query("SELECT count(*) FROM arena_vote WHERE verdict = 'b'")[0][0] == 1

    page.keyboard.press("n")
    expect(page.locator("#rounds .round")).to_have_count(0)
    expect(page.locator("#composer-text")).to_be_focused()
    page.keyboard.type("What is 17 + 25?")
    page.keyboard.press("Enter")
    wait_until_judged(page)


def test_keys_vote_only_among_the_votes_and_once(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site)
    page = tab.page
    ask(tab, "Hi")
    page.locator("#thread").focus()
    page.keyboard.press("a")
    page.locator("#stop").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#votes")).to_be_visible()
    assert own_site.query("SELECT count(*) FROM arena_vote")[0][0] == 0

    page.keyboard.press("Escape")
    page.keyboard.down("t")
    page.keyboard.down("t")
    expect(page.locator("#result-title")).to_have_text("Your vote: Tie")
    page.locator("#thread").focus()
    page.keyboard.press("n")
    expect(page.locator("#rounds .round")).to_have_count(1)


def test_side_by_side_stays_by_name_after_a_reload(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site).open("/arena/side-by-side")
    page = tab.page
    ask(tab, "One")
    page.reload()
    wait_until_judged(page)
    press(page, "Tie")
    press(page, "New round")
    expect(page.locator("#choice-A")).to_be_visible()
    ask(tab, "Two")
    assert own_site.query("SELECT count(*) FROM arena_battle WHERE NOT is_anonymous")[0][0] == 2


def test_a_vote_by_button_and_a_chat_that_goes_on(arena_site: LiveSite, tabs: Tabs) -> None:
    tab = tabs(arena_site)
    page = tab.page
    ask(tab, "How do I make tea?")
    press(page, "Tie")
    expect(page.locator("#result-title")).to_have_text("Your vote: Tie")

    tab.send("And coffee?")
    page.wait_for_function("() => document.querySelectorAll('.round[data-state=ended]').length === 2")

    expect(page.locator("#votes")).to_be_hidden()
    assert side(page, "a").locator("[data-part=name]").inner_text() in NAMES
    page.reload()
    expect(page.locator("#result-title")).to_have_text("Your vote: Tie")
    assert page.locator(".round").count() == 2


def test_two_chosen_by_name_are_shown_with_their_names(arena_site: LiveSite, tabs: Tabs) -> None:
    tab = tabs(arena_site).open("/arena/side-by-side")
    page = tab.page
    chosen = [page.locator(f"#choice-{letter} option:checked").inner_text() for letter in "AB"]
    assert set(chosen) == set(NAMES)
    ask(tab, QUESTION)
    assert [side(page, letter).locator("[data-part=name]").inner_text() for letter in "ab"] == chosen
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.locator("#result-title")).to_have_text("Your vote: Both are bad")


def test_a_reload_in_the_middle_goes_on_with_both_sides(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    gate = Gate()
    for worker in scripted.values():
        worker.fake.play("The beginning ", gate, "and the end.")
    tab = tabs(own_site)
    tab.send("Hi")
    expect(side(tab.page, "a")).to_contain_text("The beginning")
    tab.page.wait_for_url("**/arena/battles/*")

    tab.page.reload()
    expect(side(tab.page, "b")).to_contain_text("The beginning")
    gate.open()

    wait_until_judged(tab.page)
    for letter in "ab":
        assert side(tab.page, letter).locator("[data-part=body]").inner_text().strip() == "The beginning and the end."


def test_a_web_process_that_is_killed_loses_neither_side(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    gate = Gate()
    for worker in scripted.values():
        worker.fake.play("Before the crash ", gate, "and after it.")
    tab = tabs(own_site)
    tab.send("Hi")
    expect(side(tab.page, "a")).to_contain_text("Before the crash")

    own_site.web.kill()
    gate.open()
    own_site.start_web()

    wait_until_judged(tab.page)
    for letter in "ab":
        text = side(tab.page, letter).locator("[data-part=body]").inner_text().strip()
        assert text == "Before the crash and after it."
    tab.problems[:] = [problem for problem in tab.problems if "WebSocket" not in problem]


def test_a_side_that_fails_offers_a_new_opponent(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    scripted["owl"].fake.play("Half an", Fail())
    tab = tabs(own_site)
    page = tab.page
    tab.send("The question")
    expect(page.locator("#notice")).to_contain_text("One of the two could not answer.")
    assert "owl" not in page.content()

    expect(page.locator("#notice").get_by_role("button", name="New round")).to_be_visible()
    page.locator("#composer-text").fill("Is anybody there?")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Ask for a new opponent")
    expect(page.locator("#votes")).to_be_hidden()
    page.locator("#composer-text").fill("")

    scripted["elk"].report()
    page.get_by_role("button", name="New opponent").click()
    wait_until_judged(page)

    assert page.locator(".round").count() == 1
    assert "The question" in page.locator("[data-part=question]").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.locator("[data-part=two]")).to_contain_text("elk")
    assert own_site.query("SELECT count(*) FROM arena_vote")[0][0] == 1


def test_the_names_are_told_with_their_ranks_and_the_way_to_the_board(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site)
    page = tab.page
    result = page.locator("[data-part=two]")
    for text in ("One", "Two", "Three", "Four"):
        ask(tab, text)
        press(page, "Tie")
        expect(page.locator("#result")).to_be_visible()
        expect(result.get_by_role("link")).to_have_count(0)
        press(page, "New round")
    # Nobody reads so fast as a test; and each of the two must have won.
    own_site.query(
        "UPDATE arena_vote v SET integrity = 'counted', verdict = CASE WHEN mod(v.id, 2) ="
        " (SELECT count(*) FROM arena_side s JOIN arena_contestant c ON c.id = s.contestant_id"
        " WHERE s.battle_id = v.battle_id AND s.position = 'a' AND c.name = 'owl') THEN 'a' ELSE 'b' END RETURNING id"
    )
    own_site.manage("leaderboard", "build", "--min-battles", "1")
    ask(tab, "Five")
    assert "Rank" not in page.content()
    press(page, "Tie")
    links = result.get_by_role("link", name=re.compile(r"Rank \d, rating \d+"))
    expect(links).to_have_count(2)
    page.reload()
    expect(links).to_have_count(2)
    links.first.click()
    expect(page.get_by_role("heading", name="Leaderboard", exact=False).first).to_be_visible()


def test_a_rematch_of_two_chosen_by_name_keeps_its_names_and_can_be_left_again(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site).open("/arena/side-by-side")
    page = tab.page
    ask(tab, "One")
    press(page, "Tie")
    press(page, "Rematch")
    page.get_by_role("button", name="New round instead").click()
    expect(page.locator("#choice-A")).to_be_visible()
    ask(tab, "Two")
    press(page, "Tie")
    press(page, "Rematch")
    ask(tab, "Three")
    shown = [side(page, letter).locator("[data-part=name]").inner_text() for letter in "ab"]
    stored = own_site.query(
        "SELECT c.name FROM arena_side s JOIN arena_contestant c ON c.id = s.contestant_id"
        " WHERE s.battle_id = (SELECT max(id) FROM arena_battle) ORDER BY s.position"
    )
    assert shown == [name for (name,) in stored]
    follows = own_site.query("SELECT follows FROM arena_battle ORDER BY id")
    assert follows == [("",), ("new_round",), ("rematch",)]


def test_when_one_fails_after_the_names_were_told_a_new_round_is_the_way_on(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site)
    page = tab.page
    ask(tab, "One")
    press(page, "Tie")
    expect(page.locator("#result")).to_be_visible()
    scripted["owl"].fake.play(Fail())
    tab.send("Two")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("One of the two could not answer.")
    expect(notice.get_by_role("button", name="New opponent")).to_have_count(0)
    notice.get_by_role("button", name="New round").click()
    ask(tab, "Three")


def test_a_battle_that_is_deleted_while_it_is_watched_is_no_dead_end(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    gate = Gate()
    for worker in scripted.values():
        worker.fake.play("Some words ", gate, "and more")
    tab = tabs(own_site)
    page = tab.page
    tab.send("One")
    expect(side(page, "a")).to_contain_text("Some words")
    own_site.query("UPDATE arena_battle SET visitor_id = NULL RETURNING id")
    press(page, "Stop")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("This battle does not exist, or it is not yours.")
    expect(notice.get_by_role("button", name="Reload")).to_be_visible()
    gate.open()
    notice.get_by_role("button", name="New round").click()
    ask(tab, "Two")


def test_a_tab_that_shows_an_older_turn_sends_nothing_into_the_newer_one(
    own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs
) -> None:
    tab = tabs(own_site)
    page = tab.page
    ask(tab, "One")
    other = new_chat_page(page.context, own_site).open(page.url.removeprefix(own_site.url))
    other.send("Two")
    other.page.wait_for_function("() => document.querySelectorAll('.round[data-state=ended]').length === 2")
    tab.send("Three")
    expect(page.locator("#notice")).to_contain_text("gone on in another window")
    assert tab.text_box.input_value() == "Three"
    page.get_by_role("button", name="Reload").click()
    expect(page.locator(".round")).to_have_count(2)
    wait_until_judged(page)
    assert tab.text_box.input_value() == "Three"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.round[data-state=ended]').length === 3")
    assert other.problems == []


def test_hostile_answers_run_nothing(own_site: LiveSite, scripted: dict[str, ScriptedWorker], tabs: Tabs) -> None:
    attacks = "\n\n".join(ATTACKS.values()).replace("alert(1)", "window.ran=1").encode("utf-8", "replace").decode()
    for worker in scripted.values():
        worker.fake.play(attacks.replace("\x00", ""))
    tab = tabs(own_site)
    ask(tab, "<img src=x onerror=window.ran=1>")
    assert tab.page.evaluate("window.ran") is None

    tab.page.reload()
    wait_until_judged(tab.page)

    assert tab.page.evaluate("window.ran") is None
    assert tab.page.locator("#rounds :is(script, img, iframe, object, form, style)").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("device", ["wide", "phone"])
def test_pictures_for_people_to_look_at(
    arena_site: LiveSite, tabs: Tabs, artifacts: Path, device: str, theme: str
) -> None:
    options = PHONE if device == "phone" else {"viewport": {"width": 1300, "height": 850}}
    tab = tabs(arena_site, color_scheme=theme, **options)
    page = tab.page
    page.screenshot(path=artifacts / f"arena-{device}-{theme}-empty.png")
    ask(tab, "How do I make tea?")
    page.screenshot(path=artifacts / f"arena-{device}-{theme}-judging.png")
    page.locator("[data-verdict=a]").click()
    expect(page.locator("#result")).to_be_visible()
    page.screenshot(path=artifacts / f"arena-{device}-{theme}-told.png")
    too_wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not too_wide
    assert re.search(r"A: \S+", page.locator("[data-part=two]").inner_text())
