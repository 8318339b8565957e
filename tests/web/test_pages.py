"""Pages as the server sends them: nothing inline, nothing foreign, words for every failure."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.test import Client

from apps.accounts.models import User
from apps.conversations.markdown import render
from tests.live import ROOT

PATHS = [
    "/chat",
    "/arena",
    "/arena/side-by-side",
    "/arena/rules",
    "/leaderboard",
    "/leaderboard/of/public/charts",
    "/leaderboard/of/public/live",
    "/leaderboard/of/public/log",
    "/account/openings",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/nothing-here",
]
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))
MAX_LINES = 200


class Page(HTMLParser):
    """Collects what a strict content policy forbids, and what a page must have."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.foreign: list[str] = []
        self.tags: list[str] = []
        self.unnamed: list[str] = []
        self.ids: list[str] = []
        self._script_type: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.inline += [f"{tag} {name}" for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values and values.get("type") != "application/json"):
            self.inline.append(tag)
        addresses = [values.get(name, "") for name in ("src", "href", "action") if name in values]
        self.foreign += [address for address in addresses if re.match(r"\w+:|//", address)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "goal"), [("/chat", "/arena"), ("/arena", "/chat")])
def test_the_chat_and_the_arena_lead_to_one_another(client: Client, path: str, goal: str) -> None:
    assert f'href="{goal}"' in client.get(path).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_pages_hold_nothing_inline_and_nothing_foreign(client: Client, path: str) -> None:
    response = client.get(path)
    page = Page(response.content.decode())

    assert page.inline == []
    assert page.foreign == []
    assert len(page.ids) == len(set(page.ids))
    assert {"main", "title", "h1"} <= set(page.tags)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_the_page_of_api_keys_shows_a_new_key_once_and_asks_before_revoking(client: Client, alice: User) -> None:
    client.force_login(alice)

    first = client.post("/account/keys", {"name": "<b>notebook</b>"}).content.decode()
    again = client.get("/account/keys").content.decode()

    shown = re.search(r'id="new-key">([^<]+)<', first)
    assert shown is not None
    assert shown[1] not in again
    assert "&lt;b&gt;notebook&lt;/b&gt;" in again
    assert "<b>notebook" not in again
    assert "data-revoke=" in again
    assert Page(first).inline == []


@pytest.mark.django_db
def test_a_taken_key_name_is_explained_at_its_field(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.post("/account/keys", {"name": "notebook"})

    page = client.post("/account/keys", {"name": "notebook"}).content.decode()

    assert 'id="id_name_error"' in page
    assert 'id="new-key"' not in page


@pytest.mark.django_db
def test_a_person_can_sign_up_sign_out_and_sign_in(client: Client) -> None:
    password = "a long enough secret"
    signed_up = client.post("/accounts/signup/", {"username": "dora", "password1": password, "password2": password})
    assert signed_up.status_code == 302
    assert "dora" in client.get("/chat").content.decode()

    client.post("/accounts/logout/")
    assert "Sign in" in client.get("/chat").content.decode()
    signed_in = client.post("/accounts/login/", {"login": "dora", "password": password})

    assert signed_in.headers["Location"] == "/"


@pytest.mark.django_db
def test_a_wrong_password_is_told_to_a_screen_reader_too(client: Client, alice: User) -> None:
    page = client.post("/accounts/login/", {"login": "alice", "password": "wrong"}).content.decode()

    assert re.search(r'class="form__errors" role="alert">.*not correct', page, re.DOTALL)


def test_the_page_for_our_own_failures_needs_neither_database_nor_request() -> None:
    html = render_to_string("500.html")

    assert "on our side" in html
    assert Page(html).inline == []
    assert Page(html).foreign == []


@pytest.mark.parametrize("template", ["403.html", "403_csrf.html", "404.html"])
def test_other_failures_have_a_page_with_a_way_out(template: str) -> None:
    html = render_to_string(template)

    assert 'href="/"' in html
    assert "<h1>" in html


def test_every_colour_class_of_the_highlighter_s_common_tokens_has_a_rule() -> None:
    html = render(
        "```python\n@d\nclass A(B):\n    '''doc'''\n    x: int = 1.5  # c\n    def f(self): return f'{x}' and None\n```"
    )
    rules = (ROOT / "static" / "css" / "code.css").read_text()
    plain = {"hl-n", "hl-p", "hl-o", "hl-w"}  # names, brackets, operators and white space stay as they are

    used = set(re.findall(r"hl-\w+", html))

    assert {name for name in used - plain if not re.search(rf"\.{name}\b", rules)} == set()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_small_and_put_html_into_the_page_in_one_place_only(script: Path) -> None:
    text = script.read_text()

    assert len(text.splitlines()) <= MAX_LINES
    assert text.startswith("/**")
    html_doors = re.findall(r"\.(?:innerHTML|outerHTML|insertAdjacentHTML|srcdoc)\b|document\.write|\beval\(", text)
    assert html_doors == ([".innerHTML"] if script.name == "dom.js" else [])


def test_every_error_of_the_socket_s_contract_has_words_on_the_page() -> None:
    contract = (ROOT / "docs" / "chat_socket.md").read_text().split("## Errors a person can see")[1]
    codes = set(re.findall(r"\| `([a-z_]+\.[a-z_]+)` \|", contract))
    words = (ROOT / "static" / "js" / "lib" / "explain.js").read_text()

    assert len(codes) >= 14
    assert {code for code in codes if f'"{code}"' not in words} == set()
