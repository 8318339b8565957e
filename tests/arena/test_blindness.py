"""Nothing that reaches a browser before the vote tells, or goes with, which model is on which side."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from statistics import correlation
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import AsyncClient, Client

from apps.accounts import selectors
from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena import selectors as arena_selectors
from apps.arena.frames import BUCKET_BYTES
from apps.arena.live import feed
from apps.arena.live.feed import Watched, follow
from apps.arena.live.pacing import TICK_S, Written
from apps.arena.models import Battle, Position
from apps.conversations.hints import Hint, hint_send
from apps.conversations.live.answer import Answer
from apps.conversations.models import GenerationState
from apps.conversations.outcomes import Outcome
from apps.core.frames import Frame, dumped
from apps.core.threads import in_thread
from tests.arena.conftest import FOX, OWL, Opens, on_side
from tests.arena.support import Two, asked_ago, ended_ago, secrets, until_states
from tests.conversations.conftest import until_hints_are_heard
from tests.conversations.pages import open_page
from tests.fake_worker import Gate
from tests.socket_page import cookies_of

N_BATTLES = 12


# --- What is said -----------------------------------------------------------------------------------------------------


async def test_no_frame_before_the_vote_holds_a_name_or_an_id_of_a_side(opens: Opens, alice: User, two: Two) -> None:
    async with opens(alice) as page:
        await page.ask("Who are you?")
        await page.until_ended()
        await page.ask("And now?")
        await page.until_ended()
        before = [text for _, text in page.sent]
        await page.vote("a")
    for secret in await in_thread(secrets):
        assert all(secret not in text for text in before)
    assert OWL in page.sent[-1][1]


@pytest.mark.parametrize("when", ["while both write", "when both have ended"])
async def test_no_page_before_the_vote_holds_a_name_or_an_id_of_a_side(
    opens: Opens, alice: User, two: Two, when: str
) -> None:
    gate = Gate()
    two.play("Some words. ", gate, "The rest.")
    if when == "when both have ended":
        gate.open()
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        if when == "when both have ended":
            await page.until_ended()
        reply = await in_thread(fetched, alice, accepted["url"])
        hidden = await in_thread(secrets)
        gate.open()
        if when == "while both write":
            assert "Some words" not in reply
            await page.until_ended()
        else:
            assert reply.count("The rest.") == 2
        assert all(secret not in reply for secret in hidden)
        await page.vote("tie")
    assert OWL in await in_thread(fetched, alice, accepted["url"])


async def test_what_a_model_thinks_is_seen_after_the_vote_alone(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].play("<th", "ink>I am the owl, and I ponder.", "</think>\n\nThe ", "answer.")
    two.workers[FOX].play("The answer.")
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_ended()
        assert page.a.html == page.b.html == "<p>The answer.</p>\n"
        assert all("ponder" not in text for _, text in page.sent)
        await page.attach(accepted["battle"])
        await page.until_ended()
        assert all("ponder" not in text for _, text in page.sent)
        assert "ponder" not in await in_thread(fetched, alice, accepted["url"])
        await in_thread(asked_ago, 30)
        told = await page.vote("tie")
    assert (told["counts"], told["reasons"]) == (True, [])
    assert "ponder" in await in_thread(fetched, alice, accepted["url"])


async def test_a_reload_does_not_show_a_rest_that_is_not_due(opens: Opens, alice: User, two: Two) -> None:
    """The slow one wrote three words: it would have taken an hour for as many as the other one."""
    gate = Gate()
    two.workers[OWL].play("three slow words")
    two.workers[FOX].play("three quick words", gate, " and a great deal of a rest " * 20)
    gate.open()
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_shown(a="three", b="three")
        await until_states("complete", "complete")
        await in_thread(ended_ago, 5.0, asked_s=65.0)
    async with opens(alice) as page:
        await page.attach(accepted["battle"])
        for _ in range(4):
            await page.next()
        assert len(page.a.html) == len(page.b.html) == len("three slow words")
        assert "a great deal" not in await in_thread(fetched, alice, accepted["url"])
        ask = {"ref": "v", "battle": accepted["battle"], "turn": 1}
        assert await page.refused(ask | {"type": "battle.vote", "verdict": "a"}) == "arena.not_ready"
        assert await page.refused(ask | {"type": "battle.send", "text": "And?"}) == "arena.not_ready"
        await in_thread(ended_ago, 90.0, asked_s=150.0)
    reply = await in_thread(fetched, alice, accepted["url"])
    assert reply.count("a great deal") > 1
    async with opens(alice) as page:
        await page.attach(accepted["battle"])
        assert (await page.until_ended())["error"] is None


async def test_the_usage_page_and_its_file_do_not_tell_who_writes(
    opens: Opens, alice: User, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opens(alice) as page:
        await page.ask("Hi")
        await page.until_ended()
    assert "models in battles" not in await in_thread(fetched, alice, "/account/usage")
    with monkeypatch.context() as a_day_later:
        a_day_later.setattr(selectors, "BATTLES_WITHHELD_FOR", timedelta(0))
        shown = await in_thread(fetched, alice, "/account/usage")
    assert "models in battles" in shown
    assert OWL not in shown
    assert FOX not in shown
    exported = await streamed(alice, "/account/usage.csv")
    assert OWL not in exported
    assert "battle" not in exported


async def test_the_chat_s_pages_hear_nothing_of_a_battle(opens: Opens, alice: User, two: Two) -> None:
    """They would hear when which side ended."""
    own = Hint(uuid4(), "A chat of her own", leaf=None)
    async with open_page(await in_thread(cookies_of, alice)) as chat, opens(alice) as page:
        await until_hints_are_heard()
        await page.ask("Hi")
        await page.until_ended()
        await hint_send(Actor(user_id=alice.pk), own)
        heard = await chat.until("conversation.changed")
    assert heard["conversation"] == str(own.conversation)


async def test_the_chat_s_search_and_export_have_nothing_of_a_battle(opens: Opens, alice: User, two: Two) -> None:
    two.play("An unmistakable answer.")
    async with opens(alice) as page:
        await page.ask("Say something unmistakable")
        await page.until_ended()
    for path in ("/chats/search?q=unmistakable", "/chats/search?q=answer", "/chat"):
        assert "nmistakable answer" not in await in_thread(fetched, alice, path)


def fetched(user: User, path: str) -> str:
    """Head and body of a page."""
    client = Client()
    client.force_login(user)
    reply = client.get(path)
    assert reply.status_code == 200
    return str(reply.headers) + reply.content.decode()


async def streamed(user: User, path: str) -> str:
    client = AsyncClient()
    await client.aforce_login(user)
    reply: Any = await client.get(path)
    return b"".join([piece async for piece in reply.streaming_content]).decode()


# --- What sizes and times say -----------------------------------------------------------------------------------------


@dataclass
class _Arriving:
    """An answer in place of its reader's: so many characters of its text are there after each tick."""

    text: str
    chars_per_tick: int
    starts_at: int
    generation_id: UUID = field(default_factory=uuid4)
    outcome: Outcome | None = None
    answer: Answer = field(default_factory=Answer)
    loaded: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, tick: int) -> None:
        self.loaded.set()
        n = max(0, tick - self.starts_at) * self.chars_per_tick
        self.answer.append(self.text[self.answer.n_chars : n])
        if n >= len(self.text):
            self.outcome = Outcome(GenerationState.COMPLETE)

    @property
    def written(self) -> Written:
        n = len(self.text)
        return Written(self.starts_at * TICK_S, (self.starts_at + n / self.chars_per_tick) * TICK_S, n, n)


async def frames_of(a: _Arriving, b: _Arriving, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a page gets of these two, tick by tick, as it is sent."""
    sides = {side.generation_id: side for side in (a, b)}
    ticks = iter(range(1, 10_000))
    now = 0

    def arrive(tick: int) -> None:
        for side in sides.values():
            side.at(tick)

    async def tick(_: object) -> None:
        nonlocal now
        now = next(ticks)
        arrive(now)

    monkeypatch.setattr(feed, "reader_of", sides.__getitem__)
    monkeypatch.setattr(arena_selectors, "written_get", lambda _: (a.written, b.written))
    monkeypatch.setattr(feed, "_now_s", lambda: now * TICK_S)
    monkeypatch.setattr(feed._Ticks, "next", tick)
    arrive(0)
    battle = UUID(int=1)
    return [dumped(frame) async for frame in follow(Watched(battle, 1, (a.generation_id, b.generation_id), True))]


TEXTS = [
    ("# Title\n\nSome *words* and a list:\n\n- one\n- two\n\n```python\nx = 1\n```\n" * 9),
    ("Plain words in one paragraph, and after it another.\n\n日本語のテキスト & <b>markup</b>. " * 10),
]
LENGTH = min(map(len, TEXTS))

SPEEDS = [((400, 0), (7, 20)), ((30, 0), (29, 3)), ((LENGTH, 0), (1, 0)), ((50, 40), (50, 0))]
"""Characters a tick, and the tick before the first one: of the one model, of the other."""


@pytest.mark.parametrize(("one", "other"), SPEEDS)
async def test_exchanging_the_speeds_of_two_models_changes_no_byte_and_no_time(
    one: tuple[int, int], other: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (text[:LENGTH] for text in TEXTS)
    as_drawn = await frames_of(_Arriving(a, *one), _Arriving(b, *other), monkeypatch)
    exchanged = await frames_of(_Arriving(a, *other), _Arriving(b, *one), monkeypatch)
    assert as_drawn == exchanged
    assert len(as_drawn) > 10


@pytest.mark.parametrize("lengths", [(LENGTH, LENGTH // 3), (LENGTH // 4, LENGTH)])
@pytest.mark.parametrize(("one", "other"), [((7, 0), (40, 0)), ((30, 5), (11, 0))])
async def test_who_wrote_the_longer_answer_cannot_be_told_by_when_its_rest_comes(
    one: tuple[int, int], other: tuple[int, int], lengths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (text[:length] for text, length in zip(TEXTS, lengths, strict=True))
    as_drawn = await frames_of(_Arriving(a, *one), _Arriving(b, *other), monkeypatch)
    exchanged = await frames_of(_Arriving(a, *other), _Arriving(b, *one), monkeypatch)
    assert as_drawn == exchanged


@pytest.mark.parametrize(("one", "other"), SPEEDS)
async def test_every_frame_of_progress_fills_whole_buckets(
    one: tuple[int, int], other: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    *progress, end = await frames_of(_Arriving(TEXTS[0], *one), _Arriving(TEXTS[1], *other), monkeypatch)
    assert {len(text.encode()) % BUCKET_BYTES for text in progress} == {0}
    assert json.loads(end)["type"] == "battle.turn_ended"


@pytest.mark.parametrize(("one", "other"), SPEEDS)
async def test_as_much_is_seen_of_the_one_as_of_the_other_until_both_have_ended(
    one: tuple[int, int], other: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In plain text, where blocks do not hide how much came."""
    words = "word " * 200
    shorter = words[:-300]
    a, b = _Arriving(words, *one), _Arriving(shorter, *other)
    seen = {"a": "", "b": ""}
    for frame in map(json.loads, await frames_of(a, b, monkeypatch)):
        if frame["type"] != "battle.progress":
            continue
        for side in seen:
            seen[side] = added(seen[side], frame[side])
        if not frame["a"]["blocks"]:
            assert min(len(seen["a"]), len(shorter)) == len(seen["b"])


def added(seen: str, update: Frame) -> str:
    tail: str | None = update["tail"]
    return (seen if tail is None else tail) + str(update["text"])


@pytest.fixture
def features() -> Iterator[dict[str, list[float]]]:
    """What somebody who records a socket could compute of one side, by battle."""
    yield {name: [] for name in ("first", "last", "frames", "bytes", "longest gap")}


async def test_nothing_that_can_be_measured_goes_with_the_model_on_the_left(
    opens: Opens, alice: User, two: Two, features: dict[str, list[float]]
) -> None:
    """A quick and a slow model with the same words, a dozen real battles, each side measured as a recorder would."""
    is_owl: list[float] = []
    async with opens(alice) as page:
        for number in range(N_BATTLES):
            gate = Gate()
            two.workers[OWL].play("The same words " * 8)
            two.workers[FOX].play("The same ", gate, ("The same words " * 8)[len("The same ") :])
            page.battle, n_before = "", len(page.sent)
            await page.ask(f"Question {number}")
            await gate.was_reached()
            gate.open()
            await page.until_ended()
            battle = await in_thread(Battle.objects.latest, "pk")
            left = await in_thread(on_side, battle, Position.A)
            for position, name in (("a", left), ("b", FOX if left == OWL else OWL)):
                is_owl.append(float(name == OWL))
                for feature, value in measured(page.sent[n_before:], position).items():
                    features[feature].append(value)
    for feature, values in features.items():
        assert abs(correlated(values, is_owl)) < 1e-6, feature


def measured(sent: Sequence[tuple[float, str]], position: str) -> dict[str, float]:
    start = sent[0][0]
    frames = [(at - start, json.loads(text)[position]) for at, text in sent if '"battle.progress"' in text]
    news = [(at, update) for at, update in frames if update["blocks"] or update["text"] or update["tail"]]
    times = [at for at, _ in news]
    gaps = [after - before for before, after in pairwise(times)]
    return {
        "first": times[0],
        "last": times[-1],
        "frames": len(news),
        "bytes": sum(len(json.dumps(update)) for _, update in news),
        "longest gap": max(gaps, default=0.0),
    }


def correlated(values: Sequence[float], flags: Sequence[float]) -> float:
    """Of values that are all alike nothing can be learnt."""
    return 0.0 if len(set(values)) == 1 else correlation(values, flags)
