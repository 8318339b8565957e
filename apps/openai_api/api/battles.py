"""`/v1/battles` and `/v1/votes`: the arena for programs, by the rules that hold for pages.

An answer comes when both are there, so that a program learns no more from times than a page does.
"""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check
from apps.arena.live.waiting import turn_wait
from apps.arena.pages import battle_shown, contestant_told, names_told
from apps.arena.selectors import arena_get, battle_get, contestants_by_name
from apps.arena.services.asking import battle_continue, battle_open
from apps.arena.services.battles import BattleTurn
from apps.arena.services.votes import vote_cast
from apps.core.threads import in_thread
from apps.openai_api.api.door import AsyncDoor, body_of
from apps.openai_api.battle_shapes import (
    MESSAGE_FIELDS,
    VOTE_FIELDS,
    battle_object,
    battle_request,
    message_text,
    vote_object,
    vote_request,
)
from apps.openai_api.battle_shapes import (
    battle_id as id_of,
)
from apps.openai_api.known_fields import ignored
from apps.openai_api.schema import battles as schema
from apps.openai_api.schema.describe import described
from apps.openai_api.shapes import Json, json_object

WAIT_S = 120.0
"""For both answers and their rest; after that the battle is returned as `running`, to be asked for again."""


class BattleDoor(AsyncDoor):
    """For keys that may be used for battles."""

    async def _checked(self) -> None:
        await in_thread(endpoint_check, self.actor, Endpoint.BATTLES)

    async def _when_ended(self, turn: BattleTurn) -> Response:
        a, b = turn.generations
        await turn_wait((a.public_id, b.public_id), is_blind=turn.battle.is_blind, within_s=WAIT_S)
        return Response(await in_thread(self._battle, f"{turn.battle.public_id}"))

    def _battle(self, given_id: str) -> Json:
        battle = battle_get(self.actor, id_of(given_id))
        return battle_object(battle, battle_shown(battle))


class BattleList(BattleDoor):
    """`POST /v1/battles`"""

    @described(
        "Begin a battle and wait for both answers",
        name="battles_create",
        tag="Arena",
        request=schema.BATTLE_REQUEST,
        response=schema.BATTLE,
        conflict="The arena is closed, or neither side of the battle before has failed.",
    )
    async def post(self, request: Request) -> Response:
        await self._checked()
        wanted = battle_request(await body_of(request))
        self.ignored_fields = wanted.ignored_fields
        return await self._when_ended(await battle_open(actor=self.actor, opening=wanted.opening))


class BattleDetail(BattleDoor):
    """`GET /v1/battles/{battle_id}`"""

    @described(
        "Tell how a battle stands",
        name="battles_retrieve",
        tag="Arena",
        response=schema.BATTLE,
        path=schema.BATTLE_PATH,
    )
    async def get(self, request: Request, battle_id: str) -> Response:
        await self._checked()
        return Response(await in_thread(self._battle, battle_id))


class BattleMessages(BattleDoor):
    """`POST /v1/battles/{battle_id}/messages`"""

    @described(
        "Give both the next message and wait for both answers",
        name="battles_messages_create",
        tag="Arena",
        request=schema.MESSAGE_REQUEST,
        response=schema.BATTLE,
        path=schema.BATTLE_PATH,
        conflict="A side is still writing or has failed, or the battle has all its turns.",
    )
    async def post(self, request: Request, battle_id: str) -> Response:
        await self._checked()
        body = json_object(await body_of(request))
        self.ignored_fields = ignored(body, MESSAGE_FIELDS)
        text = message_text(body)
        turn = await battle_continue(actor=self.actor, battle_id=id_of(battle_id), text=text)
        return await self._when_ended(turn)


class VoteList(BattleDoor):
    """`POST /v1/votes`"""

    @described(
        "Vote on a battle and be told the names",
        name="votes_create",
        tag="Arena",
        request=schema.VOTE_REQUEST,
        response=schema.VOTE,
        conflict="The battle has its vote, or a side is still writing or has failed.",
    )
    async def post(self, request: Request) -> Response:
        await self._checked()
        body = json_object(await body_of(request))
        self.ignored_fields = ignored(body, VOTE_FIELDS)
        return Response(await in_thread(self._voted, body))

    def _voted(self, body: Json) -> Json:
        given_id, verdict = vote_request(body)
        vote = vote_cast(actor=self.actor, battle_id=given_id, verdict=verdict)
        battle = battle_get(self.actor, given_id)
        return vote_object(battle, vote, names_told(battle))


class ContestantList(BattleDoor):
    """`GET /v1/arenas/{slug}/contestants`"""

    @described(
        "List who may be chosen by name",
        name="contestants_list",
        tag="Arena",
        response=schema.CONTESTANTS,
        path={"slug": "The arena's name in addresses, such as `public`."},
    )
    async def get(self, request: Request, slug: str) -> Response:
        await self._checked()
        return Response({"object": "list", "data": await in_thread(self._contestants, slug)})

    def _contestants(self, slug: str) -> list[Json]:
        found = contestants_by_name(self.actor, arena_get(self.actor, slug))
        return [{"id": str(one.public_id), "object": "contestant", "name": contestant_told(one).name} for one in found]
