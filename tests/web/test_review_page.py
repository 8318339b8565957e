"""The page of an incident in a real browser: a moderator reads, decides by keyboard, and it fits phones."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.live import LiveSite
from tests.web.support import ChatPage, sign_in_as_admin
from tests.web.test_pool_page import LOOKS

pytestmark = pytest.mark.browser

NewTab = Callable[..., ChatPage]

MAKE = """
from io import BytesIO
from json import dumps
from django.utils import timezone
from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.conversations.models import Conversation, Message
from apps.conversations.services.images import image_keep
from apps.moderation.models import Incident, Rule
from apps.workers.image_files import kept_file
from PIL import Image

def make(name):
    Rule.objects.create(name=name, category="rude", kind="words", pattern=name)
    owner = User.objects.create_user(name)
    conversation = Conversation.objects.create(user=owner, title="Private", updated_at=timezone.now())
    asked = Message.objects.create(conversation=conversation, role="user", content="What is " + "so long a word" * 40)
    said = Message.objects.create(conversation=conversation, role="assistant", parent=asked, content={said!r})
    drawn = BytesIO()
    Image.new("RGB", (64, 64), "red").save(drawn, "PNG")
    image_keep(actor=Actor(user_id=owner.pk), file=kept_file(drawn.getvalue(), "image/png")).messages.add(said)
    flagged = dict(action="flag", categories=["rude"], found_by=["House words"], user=owner)
    Incident.objects.create(surface="api", reference="r" * 64, **flagged)
    return Incident.objects.create(surface="chat", reference=said.public_id, **flagged).pk

print(dumps([(name, make(name)) for name in {names!r}]))
"""
SAID = "Oh <b>bother</b>,\nagain"
Incidents = list[tuple[str, int]]


@pytest.fixture(scope="module")
def incidents(live_site: LiveSite) -> Incidents:
    """Names of authors and keys of incidents, one for each test, made at once: starting a command takes seconds."""
    names = [f"author-{uuid4().hex[:8]}" for _ in range(1 + len(LOOKS))]
    made = live_site.manage("shell", "--no-imports", "--command", MAKE.format(names=names, said=SAID))
    return [(name, pk) for name, pk in json.loads(made)]


def open_incident(tab: ChatPage, superuser: str, incidents: Incidents) -> Page:
    """From the queue; another one each time."""
    author, pk = incidents.pop()
    page = sign_in_as_admin(tab, superuser, f"/admin/moderation/incident/%3Fq%3D{author}")
    expect(page.get_by_text("The last two weeks")).to_be_visible()
    page.locator(f"a[href='/admin/moderation/incident/{pk}/review/']").press("Enter")
    page.locator(".review").wait_for()
    return page


def test_a_moderator_reads_what_was_said_and_takes_it_out_by_keyboard(
    tab: ChatPage, superuser: str, incidents: Incidents
) -> None:
    page = open_incident(tab, superuser, incidents)
    subject = page.locator("[aria-current=true] .review__text")
    expect(subject).to_have_text(SAID)
    expect(page.get_by_text("That you opened it is written down.")).to_be_visible()
    image = page.get_by_role("img", name="Image 1 of 1")
    expect(image).to_have_js_property("naturalWidth", 64)
    expect(image).to_have_css("filter", "blur(32px)")
    page.get_by_role("checkbox", name="Show image 1 clearly").press("Space")
    expect(image).to_have_css("filter", "none")
    address = page.url
    page.locator("#redact").press("Enter")
    expect(page.get_by_text(": taken out.")).to_be_visible()
    page.set_viewport_size({"width": 1200, "height": 800})
    expect(page.get_by_text("r" * 64).first).to_be_visible()
    assert page.evaluate("document.querySelector('#result_list').getBoundingClientRect().right <= innerWidth")
    page.goto(address)
    expect(subject).to_have_text("[removed]")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.locator(".review__facts")).to_contain_text("Taken out by root-")


@pytest.mark.parametrize("look", LOOKS)
def test_it_fits_and_its_words_can_be_read(
    new_tab: NewTab, superuser: str, incidents: Incidents, artifacts: Path, look: str
) -> None:
    viewport, scheme = LOOKS[look]
    page = open_incident(new_tab(viewport=viewport, color_scheme=scheme), superuser, incidents)
    moderation = page.url.partition("incident/")[0]
    for name, address in (("incident", page.url), ("queue", "incident/"), ("policies", "policy/")):
        page.goto(address if address == page.url else moderation + address)
        page.locator(".review").first.wait_for()
        page.screenshot(path=artifacts / f"review-{name}-{look}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
