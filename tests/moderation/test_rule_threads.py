"""Rules look at texts in threads of their own, and what waits for one of them waits no longer than rules may take."""

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from apps.accounts.actors import Actor
from apps.core.threads import OwnThreads, in_thread
from apps.moderation import gate, matching, selectors
from apps.moderation.actions import UNCHECKED, Finding
from apps.moderation.choices import RuleKind, Surface
from apps.moderation.matching import Matcher, findings_of
from apps.moderation.models import Incident, Rule
from apps.moderation.outgoing import Outgoing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_rules_that_take_long_hold_up_nothing_that_uses_the_database(
    rude: Rule, closing: None, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    def slow(*_: object, **__: object) -> list[list[Finding]]:
        released.wait(30)
        return [[]]

    await selectors.current()
    monkeypatch.setattr(matching, "findings_of", slow)
    looking = [asyncio.create_task(gate.text_pass("Hi", surface=Surface.CHAT, actor=Actor())) for _ in range(100)]
    async with asyncio.timeout(10):
        await asyncio.sleep(0)  # so that all of them have begun
        assert await in_thread(Incident.objects.count) == 0
    released.set()
    assert await asyncio.gather(*looking) == ["Hi"] * 100


async def test_what_waits_is_dropped_with_whoever_waited(released: threading.Event) -> None:
    threads = OwnThreads("own", 1)
    ran: list[str] = []
    first = asyncio.create_task(threads.run(released.wait, 30))
    second = asyncio.create_task(threads.run(ran.append, "second"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    released.set()
    assert await first
    await threads.run(ran.append, "third")
    assert ran == ["third"]


def test_the_time_in_which_a_text_waits_is_a_part_of_what_its_rules_have() -> None:
    rule = Matcher("words", "rude", RuleKind.WORDS, "bother")
    late = monotonic() - matching.REQUEST_LIMIT_S - 1
    assert findings_of([rule], ["Oh bother"], asked_at=late) == [[Finding(UNCHECKED, "words")]]
    assert [found.category for found in findings_of([rule], ["Oh bother"], asked_at=monotonic())[0]] == ["rude"]


def test_of_an_answer_too() -> None:
    rule = Matcher("words", "rude", RuleKind.WORDS, "bother")
    late = monotonic() - matching.REQUEST_LIMIT_S - 1
    answer = Outgoing([rule], {}, Surface.CHAT)
    answer.feed("Oh bother " * 60, asked_at=late)
    answer.finish(asked_at=late)
    assert set(answer.findings) == {Finding(UNCHECKED, "words")}
