"""Battles and votes by API: the rules of the page, for programs."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Endpoint, LedgerEntry, Metric, Period, User
from apps.accounts.services import api_key_create
from apps.arena.models import Battle, Contestant, Vote
from apps.conversations.live.registry import readers_release
from apps.conversations.models import Conversation
from apps.core.threads import in_thread
from apps.moderation.models import Policy, Rule
from apps.openai_api.api import battles
from tests.accounts.support import limit
from tests.arena.conftest import FOX, OWL
from tests.arena.support import Two, asked_ago, ended_ago, secrets, until_states
from tests.fake_worker import Fail, Gate


class Program:
    """Calls the API with a key."""

    def __init__(self, secret: str) -> None:
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._client = AsyncClient()

    async def post_raw(self, path: str, **body: Any) -> Any:
        return await self._client.post(path, json.dumps(body), content_type="application/json", headers=self._headers)

    async def get_raw(self, path: str) -> Any:
        return await self._client.get(path, headers=self._headers)

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        reply = await self.post_raw(path, **body)
        assert reply.status_code == status, reply.content
        return json.loads(reply.content)

    async def get(self, path: str, status: int = 200) -> Any:
        reply = await self.get_raw(path)
        assert reply.status_code == status, reply.content
        return json.loads(reply.content)


async def program(user: User | None, **scope: Any) -> Program:
    made = await in_thread(api_key_create, name=f"key {scope}", user=user, scope=KeyScope(**scope))
    return Program(made.secret)


@pytest_asyncio.fixture(autouse=True)
async def released(transactional_db: None) -> AsyncIterator[None]:
    yield
    await readers_release()
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize("owner", ["a user's key", "a key of the installation"])
async def test_a_program_begins_goes_on_and_votes(alice: User, two: Two, owner: str) -> None:
    two.play("Yes.")
    caller = await program(alice if owner == "a user's key" else None)
    begun = await caller.post("/v1/battles", input="One")
    assert (begun["object"], begun["status"], begun["contestants"]) == ("battle", "ended", None)
    assert begun["turns"] == [{"input": "One", "a": "Yes.", "b": "Yes."}]
    gone_on = await caller.post(f"/v1/battles/{begun['id']}/messages", input="Two")
    assert [turn["input"] for turn in gone_on["turns"]] == ["One", "Two"]

    await in_thread(asked_ago, -5)
    vote = await caller.post("/v1/votes", battle=begun["id"], verdict="b")

    assert (vote["object"], vote["verdict"], vote["counts"]) == ("vote", "b", False)
    assert vote["reasons"] == ["It came sooner than anybody can read both answers."]
    assert {told["name"] for told in vote["contestants"].values()} == {OWL, FOX}
    assert (await caller.get(f"/v1/battles/{begun['id']}"))["contestants"] == vote["contestants"]
    assert (await caller.post("/v1/votes", 409, battle=begun["id"], verdict="a"))["error"]["code"] == "already_voted"
    entries = await in_thread(lambda: list(LedgerEntry.objects.all()))
    assert {(entry.endpoint, entry.api_key_id is not None) for entry in entries} == {(Endpoint.BATTLES, True)}


async def test_nothing_of_an_answer_comes_before_both_have_ended(
    alice: User, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battles, "WAIT_S", 0.3)
    gate = Gate()
    two.workers[OWL].play("Ready.")
    two.workers[FOX].play("Not ", gate, "yet.")
    caller = await program(alice)
    begun = await caller.post("/v1/battles", input="Hi")
    assert (begun["status"], begun["turns"]) == ("running", [{"input": "Hi", "a": None, "b": None}])
    assert (await caller.post("/v1/votes", 409, battle=begun["id"], verdict="a"))["error"]["code"] == "battle_not_ready"
    assert (await caller.get(f"/v1/battles/{begun['id']}"))["turns"][0]["a"] is None
    gate.open()
    async with asyncio.timeout(10):
        # the pace of asking, not a guess at how long it takes
        while (now := await caller.get(f"/v1/battles/{begun['id']}"))["status"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert {now["turns"][0]["a"], now["turns"][0]["b"]} == {"Ready.", "Not yet."}


async def test_no_reply_before_the_vote_holds_a_name_or_an_id_of_a_side(
    alice: User, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battles, "WAIT_S", 0.3)
    gate = Gate()
    two.workers[OWL].play("<think>I am the owl.</think>Ready.")
    two.workers[FOX].play("Not ", gate, "yet.")
    await in_thread(limit, 100_000, Metric.TOKENS, Period.DAY, user=alice)
    caller = await program(alice)
    replies = [await caller.post_raw("/v1/battles", input="Hi")]
    begun = json.loads(replies[0].content)["id"]
    other = await caller.get_raw("/v1/models")
    replies.append(await caller.get_raw(f"/v1/battles/{begun}"))
    gate.open()
    await until_states("complete", "complete")
    await in_thread(asked_ago, 30)
    replies.append(await caller.get_raw(f"/v1/battles/{begun}"))
    assert json.loads(replies[-1].content)["status"] == "ended"
    for secret in (*await in_thread(secrets), "the owl"):
        for reply in replies:
            assert secret not in f"{reply.headers}{reply.content.decode()}"
    assert OWL in other.content.decode()
    assert OWL in json.dumps(await caller.post("/v1/votes", battle=begun, verdict="a"))


async def test_the_answers_of_a_battle_come_to_a_program_no_sooner_than_to_a_page(
    alice: User, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one, which had a minute for three words, would have taken long for the rest of the other."""
    monkeypatch.setattr(battles, "WAIT_S", 2.0)
    two.workers[OWL].play("Three slow words.")
    two.workers[FOX].play("Three quick words. " * 20)
    caller = await program(alice)
    begun = (await caller.post("/v1/battles", input="Hi"))["id"]
    await until_states("complete", "complete")
    await in_thread(ended_ago, 5.0, asked_s=65.0)
    withheld = await caller.get(f"/v1/battles/{begun}")
    assert (withheld["status"], withheld["turns"]) == ("running", [{"input": "Hi", "a": None, "b": None}])
    assert (await caller.post("/v1/votes", 409, battle=begun, verdict="a"))["error"]["code"] == "battle_not_ready"
    await in_thread(ended_ago, 90.0, asked_s=150.0)
    assert (await caller.get(f"/v1/battles/{begun}"))["status"] == "ended"


async def test_a_failed_side_is_told_without_its_name_and_followed_by_a_new_opponent(alice: User, two: Two) -> None:
    two.workers[OWL].play("Half", Fail(message=f"{OWL} broke"))
    two.workers[FOX].play("Still ", Gate(), "at it")
    caller = await program(alice)
    failed = await caller.post("/v1/battles", input="The question")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "arena.side_failed")
    assert OWL not in json.dumps(failed)
    assert (await caller.post("/v1/votes", 409, battle=failed["id"], verdict="a"))["error"]["code"] == "battle_failed"
    follow = {"previous_battle": failed["id"], "follows": "new_opponent"}
    rematch = {"previous_battle": failed["id"], "follows": "rematch", "input": "Again"}
    assert (await caller.post("/v1/battles", 409, **rematch))["error"]["code"] == "battle_not_revealed"
    assert (await caller.post("/v1/battles", **follow))["status"] == "ended"
    assert (await caller.post("/v1/battles", 409, **follow))["error"]["code"] == "battle_followed"
    await until_states("complete", "complete", "failed", "stopped")


async def test_two_are_chosen_from_the_list(alice: User, two: Two) -> None:
    caller = await program(alice)
    listed = (await caller.get("/v1/arenas/public/contestants"))["data"]
    assert {contestant["name"] for contestant in listed} == {OWL, FOX}
    battle = await caller.post("/v1/battles", input="Hi", contestants=[contestant["id"] for contestant in listed])
    assert battle["is_anonymous"] is False
    assert [battle["contestants"][side]["name"] for side in "ab"] == [contestant["name"] for contestant in listed]
    same = [listed[0]["id"]] * 2
    assert (await caller.post("/v1/battles", 404, input="Hi", contestants=same))["error"]["code"] == (
        "contestant_not_found"
    )


async def test_charlie_s_key_finds_no_battle_of_alice_s(alice: User, charlie: User, two: Two) -> None:
    battle = (await (await program(alice)).post("/v1/battles", input="A secret"))["id"]
    for caller in (await program(charlie), await program(None)):
        await caller.get(f"/v1/battles/{battle}", 404)
        await caller.post(f"/v1/battles/{battle}/messages", 404, input="Hi")
        await caller.post("/v1/votes", 404, battle=battle, verdict="a")
        await caller.post("/v1/battles", 404, input="Hi", previous_battle=battle, follows="rematch")
    assert not await in_thread(Vote.objects.exists)


async def test_a_key_for_other_endpoints_opens_no_arena(alice: User, two: Two) -> None:
    caller = await program(alice, endpoints=[Endpoint.CHAT])
    for reply in (
        await caller.post("/v1/battles", 403, input="Hi"),
        await caller.post("/v1/votes", 403, battle="battle_0", verdict="a"),
        await caller.get("/v1/battles/battle_0", 403),
        await caller.get("/v1/arenas/public/contestants", 403),
    ):
        assert reply["error"]["code"] == "endpoint_not_allowed"
    allowed = await program(alice, endpoints=[Endpoint.BATTLES])
    assert (await allowed.post("/v1/battles", input="Hi"))["status"] == "ended"


async def test_a_key_for_one_model_meets_no_other(alice: User, two: Two) -> None:
    whole = (await (await program(alice)).post("/v1/battles", input="Hi"))["id"]
    caller = await program(alice, model_names=[OWL])
    assert (await caller.post("/v1/battles", 503, input="Hi"))["error"]["code"] == "no_opponents"
    await caller.get(f"/v1/battles/{whole}", 404)


async def test_what_a_program_asks_passes_the_gate(alice: User, two: Two) -> None:
    await in_thread(_forbid, "bother")
    caller = await program(alice)
    for said in ("Oh bother", "Oh bot\0her"):
        reply = await caller.post("/v1/battles", 403, input=said)
        assert reply["error"]["code"] == "content_policy"
    assert not await in_thread(Conversation.objects.exists)
    battle = (await caller.post("/v1/battles", input="Fine"))["id"]
    for said in ("What a bother", "What a \0bot\0her"):
        reply = await caller.post(f"/v1/battles/{battle}/messages", 403, input=said)
        assert reply["error"]["code"] == "content_policy"
    assert all(len(worker.requests) == 1 for worker in two.workers.values())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 7}, "input"),
        ({"input": " "}, "input"),
        ({"input": "x" * 100_001}, "input"),
        ({"input": "Hi", "contestants": "both"}, "contestants"),
        ({"input": "Hi", "follows": "rematch"}, "follows"),
        ({"input": "Hi", "follows": "fun"}, "follows"),
        ({"input": "Hi", "arena": 7}, "arena"),
        ({"input": "Hi", "previous_battle": 7, "follows": "rematch"}, "previous_battle"),
    ],
)
async def test_a_wrong_field_is_named(alice: User, two: Two, body: dict[str, Any], param: str) -> None:
    reply = await (await program(alice)).post("/v1/battles", 400, **body)
    assert reply["error"]["param"] == param
    assert not await in_thread(Battle.objects.exists)


async def test_a_field_that_nobody_knows_is_told_and_ignored(alice: User, two: Two) -> None:
    caller = await program(alice)
    reply = await caller._client.post(
        "/v1/battles", json.dumps({"input": "Hi", "model": OWL}), content_type="application/json",
        headers=caller._headers,
    )  # fmt: skip
    assert reply.headers["x-fastchat-ignored-fields"] == "model"
    for name in (OWL, FOX):
        assert name not in str(reply.headers) + reply.content.decode()


async def test_a_verdict_is_one_of_four(alice: User, two: Two) -> None:
    caller = await program(alice)
    battle = (await caller.post("/v1/battles", input="Hi"))["id"]
    for body in ({"battle": battle, "verdict": "c"}, {"battle": battle}):
        assert (await caller.post("/v1/votes", 400, **body))["error"]["param"] == "verdict"


async def test_an_unknown_arena_is_not_there(alice: User, two: Two) -> None:
    reply = await (await program(alice)).post("/v1/battles", 404, input="Hi", arena="nowhere")
    assert reply["error"]["code"] == "arena_not_found"
    assert await in_thread(Contestant.objects.count) == 2


def _forbid(word: str) -> None:
    Rule.objects.create(name="manners", category="rude", kind="words", pattern=word)
    Policy.objects.create(surface="arena", direction="in", category="rude", action="refuse")
