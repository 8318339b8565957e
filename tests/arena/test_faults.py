"""What goes wrong in a battle, and what its voter learns of it: never who it was, and nobody ever loses by it."""

import json

from apps.accounts.errors import LimitExceeded, LimitNeedsBound
from apps.accounts.models import LedgerEntry, Metric, Period, Reservation, User
from apps.arena.errors import BattleLimitExceeded, is_own_limit, side_failure
from apps.arena.models import Battle, Contestant, Position, Vote
from apps.conversations.models import Conversation, Generation
from apps.core.threads import in_thread
from gpu_worker.protocol import WorkerErrorCode
from tests.accounts.support import counter, limit
from tests.arena.conftest import FOX, OWL, Opens, on_side
from tests.arena.support import ArenaPage, Two, until_states
from tests.fake_worker import Gate, Refuse


async def failed(page: ArenaPage) -> str:
    """The code of the turn's failure; nothing that was sent names one of the two."""
    error = (await page.until_ended())["error"]
    assert error is not None
    for secret in (OWL, FOX):
        assert all(secret not in text for _, text in page.sent)
    frame = {"type": "battle.vote", "ref": "r", "battle": page.battle, "turn": 1, "verdict": "a"}
    assert await page.refused(frame) == "arena.battle_failed"
    assert not await in_thread(Vote.objects.exists)
    code: str = error["code"]
    return code


def test_only_a_limit_that_is_used_up_is_the_voter_s_own() -> None:
    """That nobody has said how long one model's context is falls to that model: another opponent has no such fault."""
    assert isinstance(side_failure(LimitExceeded.code), BattleLimitExceeded)
    assert not is_own_limit(LimitNeedsBound.code)
    assert not isinstance(side_failure(LimitNeedsBound.code), BattleLimitExceeded)


async def test_a_worker_that_dies_in_the_middle_ends_the_turn(opens: Opens, alice: User, two: Two) -> None:
    for worker in two.workers.values():
        worker.play("Some words ", Gate(), "never said")
    async with opens(alice) as page:
        await page.ask("Hi")
        await page.until_shown(a="Some words", b="Some words")
        two.workers[OWL].kill()
        assert await failed(page) == "arena.side_failed"
        assert "never said" not in page.a.html + page.b.html


async def test_a_side_that_fails_stops_the_other_also_if_nobody_watches(opens: Opens, alice: User, two: Two) -> None:
    for worker in two.workers.values():
        worker.play("Some words", Gate(), "never said")
    async with opens(alice) as page:
        await page.ask("Hi")
        await page.until_shown(a="Some", b="Some")
    two.workers[OWL].kill()
    await until_states("failed", "stopped")


async def test_a_battle_that_is_too_long_for_one_says_so(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].scripts.append(Refuse(400, WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED, f"{OWL} takes 1024 tokens"))
    async with opens(alice) as page:
        await page.ask("Hi")
        assert await failed(page) == "arena.too_long_for_one"


async def test_a_limit_is_told_without_the_model_that_it_is_for(opens: Opens, alice: User, two: Two) -> None:
    await in_thread(limit, 0, Metric.REQUESTS, Period.DAY, user=alice, model_name=OWL)
    async with opens(alice) as page:
        await page.ask("Hi")
        assert await failed(page) == "arena.limit_exceeded"


async def test_a_limit_that_has_room_for_one_side_alone_begins_neither(opens: Opens, alice: User, two: Two) -> None:
    await in_thread(limit, 1, Metric.REQUESTS, Period.DAY, user=alice)
    async with opens(alice) as page:
        await page.ask("Hi")
        assert await failed(page) == "arena.limit_exceeded"
    assert not any(worker.requests for worker in two.workers.values())
    assert await in_thread(LedgerEntry.objects.count) == 0


async def test_tokens_that_are_left_are_shared_alike_by_both_sides(opens: Opens, alice: User, two: Two) -> None:
    await in_thread(limit, 200, Metric.TOKENS, Period.DAY, user=alice)
    async with opens(alice) as page:
        await page.ask("Hi")
        assert (await page.until_ended())["error"] is None
    longest = {worker.requests[0]["max_tokens"] for worker in two.workers.values()}
    assert len(longest) == 1
    assert 0 < longest.pop() <= 100


async def test_no_meter_moves_before_both_sides_have_ended(opens: Opens, alice: User, two: Two) -> None:
    of_tokens = await in_thread(limit, 100_000, Metric.TOKENS, Period.DAY, user=alice)
    of_calls = await in_thread(limit, 50, Metric.REQUESTS, Period.DAY, user=alice)
    gate = Gate()
    two.workers[OWL].play("Ready.")
    two.workers[FOX].play("Not ", gate, "yet.")
    async with opens(alice) as page:
        await page.ask("Hi")
        await until_states("complete", "running")
        counters = [await in_thread(counter, one) for one in (of_tokens, of_calls)]
        assert [one.used for one in counters] == [0, 0]
        assert counters[1].reserved == 2
        assert await in_thread(LedgerEntry.objects.count) == 0
        gate.open()
        await page.until_ended()
        counters = [await in_thread(counter, one) for one in (of_tokens, of_calls)]
    assert [one.reserved for one in counters] == [0, 0]
    assert counters[1].used == 2
    entries = await in_thread(lambda: list(LedgerEntry.objects.all()))
    assert len(entries) == 2
    assert counters[0].used == sum(entry.prompt_tokens + entry.completion_tokens for entry in entries) > 0
    assert not await in_thread(Reservation.objects.exists)


async def test_a_model_with_too_many_requests_is_told_without_its_name(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].scripts.extend([Refuse(503, WorkerErrorCode.OVERLOADED, f"{OWL} is busy")] * 9)
    async with opens(alice) as page:
        await page.ask("Hi")
        assert await failed(page) == "arena.side_busy"


async def test_the_next_battle_is_not_disturbed_by_the_one_that_failed(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST))
    async with opens(alice) as page:
        await page.ask("One")
        assert await failed(page) == "arena.side_failed"
        page.battle = ""
        await page.ask("Two")
        assert (await page.until_ended())["error"] is None
        assert (await page.vote("tie"))["verdict"] == "tie"


async def test_a_side_that_an_admin_deletes_takes_the_battle_s_texts_and_not_its_row(
    opens: Opens, alice: User, two: Two
) -> None:
    async with opens(alice) as page:
        await page.ask("Hi")
        await page.until_ended()
        await in_thread(lambda: Conversation.objects.all().delete())
        for frame in (
            {"type": "battle.attach", "battle": page.battle},
            {"type": "battle.send", "ref": "r", "battle": page.battle, "turn": 1, "text": "And now?"},
            {"type": "battle.vote", "ref": "r", "battle": page.battle, "turn": 1, "verdict": "a"},
        ):
            assert await page.refused(frame) == "arena.battle_not_found"
    assert await in_thread(Battle.objects.count) == 1


async def test_what_failed_and_why_is_kept_for_the_admins(opens: Opens, alice: User, two: Two) -> None:
    two.workers[OWL].scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST, "no such field"))
    async with opens(alice) as page:
        await page.ask("Hi")
        await failed(page)
    battle = await in_thread(Battle.objects.get)
    position = Position.A if await in_thread(on_side, battle, Position.A) == OWL else Position.B
    code = await in_thread(
        lambda: Generation.objects.get(conversation__side__position=position, state="failed").error_message
    )
    assert "no such field" in code
    assert json.dumps([text for _, text in page.sent]).count("no such field") == 0
    assert await in_thread(Contestant.objects.count) == 2
