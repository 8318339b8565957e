"""The chat page in a real browser, seen as a person sees it, and workers whose answers a test writes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import httpx
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from gpu_worker.protocol import PROTOCOL_VERSION, LeaseRequest, ModelReport, ModelState
from tests.fake_worker import FakeWorker
from tests.live import LiveSite, wait_until

CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 20_000
ADMIN_PASSWORD = "open sesame, please"


@dataclass
class ScriptedWorker:
    """A fake worker that a live site knows. Its lease lasts for the whole run, because nothing renews it."""

    site: LiveSite
    fake: FakeWorker
    model: str
    worker_id: uuid.UUID = field(init=False)
    secret: str = field(init=False)

    def __post_init__(self) -> None:
        self.worker_id, self.secret = self.site.identity()

    def report(self, state: ModelState = ModelState.LOADED, progress: float | None = None) -> None:
        """Enrol, or say how the model stands now."""
        request = LeaseRequest(
            protocol=PROTOCOL_VERSION,
            base_url=self.fake.base_url,
            access_token=self.fake.access_token,
            device="scripted",
            speed=1.0,
            queue_length=0,
            version="test",
            models=[ModelReport(name=self.model, state=state, context_length=1024, progress=progress)],
        )
        url = f"{self.site.url}/internal/workers/{self.worker_id}/lease"
        headers = {"Authorization": f"Bearer {self.secret}"}
        httpx.put(url, json=request.to_json(), headers=headers, trust_env=False).raise_for_status()
        self.site.query(
            "UPDATE workers_worker SET lease_expires_at = now() + interval '1 hour', cooling_until = NULL"
            " WHERE public_id = %s RETURNING id",
            self.worker_id,
        )


@dataclass
class ChatPage:
    """One tab. `problems` collects what the browser complains about: errors and broken content policies."""

    page: Page
    site: LiveSite
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        # That a test took the network away is no fault of the page.
        if message.type == "error" and "net::ERR_INTERNET_DISCONNECTED" not in message.text:
            self.problems.append(message.text)

    def open(self, path: str = "/chat", *, model: str = "") -> ChatPage:
        self.page.goto(self.site.url + path)
        self.page.wait_for_function("() => document.querySelector('#connection').hidden")
        if model:
            self.page.select_option("#model", model)
        return self

    def send(self, text: str) -> None:
        self.text_box.fill(text)
        self.page.keyboard.press("Enter")

    def press_in_history(self, title: str, button: str) -> None:
        """With the mouse, which moves anew where a refreshed list came under it and has not felt it yet."""
        item = self.page.locator(".history__item", has_text=title)
        target = item.get_by_role("button", name=f"{button} “{title}”")

        def under_the_mouse() -> bool:
            item.hover()
            try:
                target.click(trial=True, timeout=2000)
            except PlaywrightTimeoutError:
                return False
            return True

        self.page.bring_to_front()
        wait_until(under_the_mouse, what=f"{button} of {title} under the mouse")
        target.click(force=True)  # by its place: the list may be refreshed once more just now

    def wait_for_state(self, state: str, *, count: int = 1) -> None:
        self.page.wait_for_function(
            "([state, count]) => document.querySelectorAll(`.message--answer[data-state='${state}']`).length === count",
            arg=[state, count],
        )

    def wait_for_text(self, text: str) -> None:
        self.last_answer.get_by_text(text).first.wait_for()

    @property
    def text_box(self) -> Locator:
        return self.page.locator("#composer-text")

    @property
    def notice(self) -> Locator:
        return self.page.locator("#notice")

    @property
    def last_answer(self) -> Locator:
        return self.page.locator(".message--answer").last

    @property
    def answers(self) -> Locator:
        return self.page.locator(".message--answer")

    @property
    def answer_text(self) -> str:
        """The words of the last answer, finished blocks and tail."""
        body = self.last_answer.locator(".message__body").text_content() or ""
        return body + (self.last_answer.locator(".message__tail").text_content() or "")

    @property
    def conversation(self) -> str:
        return self.page.url.rsplit("/", 1)[-1]

    @property
    def stored_answer(self) -> str:
        """What the database holds as the answer that is shown last."""
        rows = self.site.query(
            "SELECT m.content FROM conversations_message m JOIN conversations_conversation c"
            " ON c.active_leaf_id = m.id WHERE c.public_id = %s",
            self.conversation,
        )
        return str(rows[0][0])

    def text_of_html(self, html: str) -> str:
        """The words of some HTML as this browser reads it."""
        script = "html => new DOMParser().parseFromString(html, 'text/html').body.textContent"
        return str(self.page.evaluate(script, html))


def new_chat_page(context: BrowserContext, site: LiveSite) -> ChatPage:
    return ChatPage(context.new_page(), site)


def sign_up(tab: ChatPage, name: str = "") -> str:
    """Make an account in this tab, and return its name."""
    name = name or f"person-{uuid.uuid4().hex[:8]}"
    tab.page.goto(tab.site.url + "/accounts/signup/")
    tab.page.fill("#id_username", name)
    tab.page.fill("#id_password1", "a long enough one")
    tab.page.fill("#id_password2", "a long enough one")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**/chat*")
    return name


def sign_in_as_admin(tab: ChatPage, name: str, path: str) -> Page:
    """By the admin's own form; it leads to `path`."""
    tab.page.goto(f"{tab.site.url}/admin/login/?next={path}")
    tab.page.fill("[name=username]", name)
    tab.page.fill("[name=password]", ADMIN_PASSWORD)
    tab.page.keyboard.press("Enter")
    return tab.page
