"""A whole battle over the socket, and what the socket refuses."""

import json
from uuid import UUID

import pytest
from pytest_django import Settings

from apps.accounts.models import User
from apps.arena.models import Battle, Contestant, Position, Vote
from apps.conversations.models import Generation
from apps.core.threads import in_thread
from apps.moderation.models import Incident, Policy, Rule
from tests.arena.conftest import FOX, OWL, Opens, on_side
from tests.arena.support import Two, asked_ago, open_arena_page, until_states
from tests.fake_worker import Fail, Gate
from tests.socket_page import cookies_of


async def test_a_battle_is_asked_answered_voted_on_and_told(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].play("I am *wise*.")
    two.workers[FOX].play("I am ", "quick.")
    async with opens(alice) as page:
        accepted = await page.ask("What is <b>your</b> nature?")
        assert "&lt;b&gt;" in accepted["html"]
        assert accepted["url"] == f"/arena/battles/{accepted['battle']}"
        end = await page.until_ended()
        await in_thread(asked_ago, 30)
        revealed = await page.vote("a")

    assert end["error"] is None
    battle = await in_thread(Battle.objects.get)
    left = await in_thread(on_side, battle, Position.A)
    texts = {OWL: "<p>I am <em>wise</em>.</p>\n", FOX: "<p>I am quick.</p>\n"}
    assert page.a.html == texts[left]
    assert page.b.html == texts[({OWL, FOX} - {left}).pop()]
    assert revealed["a"]["name"] == left
    assert (revealed["verdict"], revealed["counts"], revealed["reasons"]) == ("a", True, [])
    assert await in_thread(Vote.objects.count) == 1


async def test_the_second_turn_carries_the_first_to_each_side(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].play("Hoot.")
    two.workers[FOX].play("Yap.")
    async with opens(alice) as page:
        await page.ask("One")
        await page.until_ended()
        accepted = await page.ask("Two")
        await page.until_ended()
        await page.vote("tie")
    assert accepted["turn"] == 2
    for name, said in ((OWL, "Hoot."), (FOX, "Yap.")):
        messages = two.workers[name].requests[1]["messages"]
        assert [message["content"] for message in messages] == ["One", said, "Two"]
    vote = await in_thread(Vote.objects.get)
    assert vote.n_turns == 2


async def test_nothing_more_of_the_quick_side_is_seen_than_of_the_slow_one(opens: Opens, alice: User, two: Two) -> None:
    gate = Gate()
    two.workers[OWL].play("owl owl owl owl ", "and more of the owl.")
    two.workers[FOX].play("fox ", gate, "at last.")
    async with opens(alice) as page:
        await page.ask("Hi")
        battle = await in_thread(Battle.objects.get)
        await page.until_shown(a=" ", b=" ")
        quick = page.a if await in_thread(on_side, battle, Position.A) == OWL else page.b
        for _ in range(4):
            await page.next()
            assert quick.html == "owl "
        gate.open()
        await page.until_ended()
        assert "and more of the owl." in quick.html


async def test_a_page_that_comes_back_sees_both_sides_go_on(opens: Opens, alice: User, two: Two) -> None:
    gate = Gate()
    two.play("first words ", gate, "and the last.")
    async with opens(alice) as page:
        accepted = await page.ask("Hi")
        await page.until_shown(a="first words", b="first words")
    async with opens(alice) as page:
        await page.attach(accepted["battle"])
        await page.until_shown(a="first words", b="first words")
        gate.open()
        await page.until_ended()
        assert page.a.html == page.b.html == "<p>first words and the last.</p>\n"
        assert page.a.n_restarts == 1


async def test_a_failed_side_ends_the_turn_without_a_word_about_who(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].play("Half an ans", Fail(message=f"{OWL} ran out of memory"))
    two.workers[FOX].play("Still at ", Gate(), "it.")
    async with opens(alice) as page:
        await page.ask("Hi")
        end = await page.until_ended()
        assert end["error"]["code"] == "arena.side_failed"
        assert await page.refused(_vote(page.battle)) == "arena.battle_failed"
        assert all(OWL not in text for _, text in page.sent)
        await until_states("failed", "stopped")
    assert not await in_thread(Vote.objects.exists)


async def test_a_new_opponent_gets_the_same_question(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].play(Fail())
    async with opens(alice) as page:
        await page.ask("The question")
        failed = page.battle
        await page.until_ended()
        again = await page.ask("", previous=failed, follows="new_opponent")
        assert (await page.until_ended())["error"] is None
        assert await page.refused(_start("", previous=failed, follows="new_opponent")) == "arena.followed"
    assert again["battle"] != failed
    assert "The question" in again["html"]


async def test_a_vote_on_a_turn_that_is_not_the_last_is_refused(opens: Opens, alice: User, two: Two) -> None:
    async with opens(alice) as page:
        await page.ask("One")
        await page.until_ended()
        await page.ask("Two")
        await page.until_ended()
        assert await page.refused(_vote(page.battle, turn=1)) == "arena.changed"
        assert (await page.vote("a"))["verdict"] == "a"


async def test_a_message_to_a_turn_that_is_not_the_last_is_refused(opens: Opens, alice: User, two: Two) -> None:
    """A tab that was left open would go on from an answer that nobody sees there."""
    async with opens(alice) as page:
        await page.ask("One")
        await page.until_ended()
        await page.ask("Two")
        await page.until_ended()
        assert await page.refused(_send(page.battle, "Three", turn=1)) == "arena.changed"
        assert await page.refused(_send(page.battle, "Three", turn=3)) == "arena.changed"
        assert (await page.ask("Three"))["turn"] == 3


async def test_names_come_with_a_turn_where_they_are_known_and_nowhere_else(
    opens: Opens, alice: User, two: Two
) -> None:
    async with opens(alice) as page:
        assert (await page.ask("One"))["names"] is None
        await page.until_ended()
        assert (await page.ask("Two"))["names"] is None
        await page.until_ended()
        await page.vote("a")
        assert set((await page.ask("Three"))["names"]) == {OWL, FOX}
        ids = await in_thread(lambda: [str(one.public_id) for one in Contestant.objects.order_by("-name")])
        await page.until_ended()
        named = await page.ask("Hi", choice=ids)
        assert named["names"] == [OWL, FOX]
        await page.until_ended()
        rematch = await page.ask("Hi", previous=named["battle"], follows="rematch")
        battle = await in_thread(Battle.objects.latest, "pk")
        assert rematch["names"] == [await in_thread(on_side, battle, position) for position in Position]


async def test_stopping_ends_both(opens: Opens, alice: User, two: Two) -> None:
    gates = [Gate(), Gate()]
    for worker, gate in zip(two.workers.values(), gates, strict=True):
        worker.play("Begun ", gate, "never said")
    async with opens(alice) as page:
        await page.ask("Hi")
        await page.until_shown(a="Begun", b="Begun")
        await page.send({"type": "battle.stop", "battle": page.battle})
        end = await page.until_ended()
    assert end["error"] is None
    states = await in_thread(lambda: list(Generation.objects.values_list("state", flat=True)))
    assert states == ["stopped", "stopped"]
    assert "never said" not in page.a.html + page.b.html


async def test_a_visitor_battles_too(opens: Opens, visitor: UUID, two: Two) -> None:
    async with opens(visitor) as page:
        await page.ask("Hi")
        await page.until_ended()
        assert (await page.vote("both_bad"))["verdict"] == "both_bad"


async def test_somebody_without_a_cookie_has_no_battle(opens: Opens, two: Two, settings: Settings) -> None:
    async with opens() as page:
        assert await page.refused(_start("Hi")) == "chat.sign_in_required"


async def test_charlie_finds_alice_s_battle_behind_no_frame(opens: Opens, alice: User, charlie: User, two: Two) -> None:
    async with opens(alice) as page:
        await page.ask("A secret")
        await page.until_ended()
        battle = page.battle
    async with opens(charlie) as page:
        for frame in (
            {"type": "battle.attach", "battle": battle},
            {"type": "battle.stop", "battle": battle},
            _send(battle, "Hi"),
            {"type": "battle.reveal", "ref": "r", "battle": battle},
            _vote(battle),
            _start("Hi", previous=battle, follows="rematch"),
            _start("", previous=battle, follows="new_opponent"),
        ):
            assert await page.refused(frame) == "arena.battle_not_found"
        assert all("secret" not in text for _, text in page.sent)


async def test_what_is_asked_passes_the_gate_before_a_model_reads_it(opens: Opens, alice: User, two: Two) -> None:
    await in_thread(_forbid, "bother", "in")
    async with opens(alice) as page:
        assert await page.refused(_start("Oh bother")) == "moderation.refused"
        assert not await in_thread(Battle.objects.exists)
        await page.ask("Fine")
        await page.until_ended()
        assert await page.refused(_send(page.battle, "What a bother")) == "moderation.refused"
    assert all(len(worker.requests) == 1 for worker in two.workers.values())
    incidents = await in_thread(lambda: list(Incident.objects.values_list("surface", "direction")))
    assert incidents == [("arena", "in")] * 2
    references = await in_thread(lambda: set(Incident.objects.values_list("reference", flat=True)))
    assert len(references) == 2
    assert page.battle in references
    assert all(references)


async def test_a_stranger_s_words_about_a_battle_are_not_looked_at(
    opens: Opens, alice: User, charlie: User, two: Two
) -> None:
    await in_thread(_forbid, "bother", "in")
    async with opens(alice) as page:
        await page.ask("Fine")
        await page.until_ended()
        battle = page.battle
    async with opens(charlie) as page:
        assert await page.refused(_send(battle, "What a bother")) == "arena.battle_not_found"
        assert await page.refused(_start("What a bother", arena="nowhere")) == "arena.not_found"
    assert not await in_thread(Incident.objects.exists)


async def test_what_either_side_answers_passes_the_gate(opens: Opens, alice: User, two: Two) -> None:
    await in_thread(_forbid, "bother", "out")
    two.workers[OWL].play("All is well.")
    two.workers[FOX].play("Oh bother, it is not.")
    async with opens(alice) as page:
        await page.ask("How are you?")
        await page.until_ended()
    assert all("bother" not in text for _, text in page.sent)
    assert await in_thread(lambda: Incident.objects.get().surface) == "arena"


@pytest.mark.parametrize(
    "frame",
    [
        "not json", "[]", "{}", '{"type": "battle.fly"}', '{"type": "battle.vote", "ref": "r", "battle": "x"}',
        json.dumps({"type": "battle.vote", "ref": "r", "battle": str(UUID(int=7)), "turn": 1, "verdict": "c"}),
        json.dumps({"type": "battle.vote", "ref": "r", "battle": str(UUID(int=7)), "turn": "1", "verdict": "a"}),
        json.dumps({"type": "battle.attach", "battle": str(UUID(int=7)), "more": 1}),
        json.dumps({"type": "battle.start", "ref": "r", "arena": "public", "text": "x", "choice": ["a"]}),
        json.dumps({"type": "battle.start", "ref": "r", "arena": "public", "text": 7}),
        json.dumps({"type": "battle.start", "ref": "r", "arena": "public", "text": "x", "follows": "fun"}),
        json.dumps({"type": "battle.start", "ref": "r", "arena": "public", "text": "x", "follows": "rematch"}),
        json.dumps({"type": "battle.start", "ref": "r", "arena": "public", "text": "x", "previous": str(UUID(int=7))}),
        json.dumps({"type": "battle.send", "ref": "r", "battle": str(UUID(int=7)), "text": "x"}),
    ],
)  # fmt: skip
async def test_a_malformed_frame_is_refused_and_the_socket_stays(opens: Opens, alice: User, frame: str) -> None:
    async with opens(alice) as page:
        for _ in range(2):
            await page.send_raw(frame)
            assert (await page.until("error"))["error"]["code"] == "site.bad_frame"
        await page.send_raw(data=b"bytes")
        assert (await page.until("error"))["error"]["code"] == "site.bad_frame"


async def test_a_page_of_another_site_gets_no_socket(alice: User, transactional_db: None) -> None:
    cookies = await in_thread(cookies_of, alice)
    with pytest.raises(AssertionError, match="refused"):
        async with open_arena_page(cookies, origin="http://evil.example"):
            pass


def _start(text: str, **more: object) -> dict[str, object]:
    start = {"type": "battle.start", "ref": "r", "arena": "public", "choice": None, "previous": None, "follows": None}
    return start | {"text": text} | more


def _send(battle: str, text: str, turn: int = 1) -> dict[str, object]:
    return {"type": "battle.send", "ref": "r", "battle": battle, "turn": turn, "text": text}


def _vote(battle: str, turn: int = 1) -> dict[str, object]:
    return {"type": "battle.vote", "ref": "r", "battle": battle, "turn": turn, "verdict": "a"}


def _forbid(word: str, direction: str) -> None:
    Rule.objects.create(name="manners", category="rude", kind="words", pattern=word)
    Policy.objects.create(surface="arena", direction=direction, category="rude", action="refuse")
