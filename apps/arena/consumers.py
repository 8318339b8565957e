"""The arena socket (docs/arena_socket.md): checks a frame, calls one service, passes on what the feed says.

Battles do not belong to it: when it closes, answers go on.
"""

import asyncio
from dataclasses import asdict
from typing import assert_never
from uuid import UUID

from apps.arena import frames, selectors
from apps.arena.errors import BattleNotFound
from apps.arena.frames import (
    BattleAttach,
    BattleReveal,
    BattleSend,
    BattleStart,
    BattleStop,
    BattleVote,
    Incoming,
)
from apps.arena.live import feed
from apps.arena.live.feed import Watched
from apps.arena.models import Battle
from apps.arena.pages import battle_url, names_told
from apps.arena.services import asking
from apps.arena.services.battles import BattleTurn, Opening, battle_reveal
from apps.arena.services.votes import vote_cast
from apps.arena.verdicts import told_about
from apps.conversations.markdown import render_user
from apps.conversations.outcomes import Failure
from apps.conversations.sockets import PageSocket
from apps.core.client_ip import client_ip
from apps.core.errors import SiteError
from apps.core.frames import Frame
from apps.core.networks import socket_meta
from apps.core.threads import in_thread

ASKED_MAX = 4
"""Requests of one page that are being worked on; of a page that sends more, the next waits."""


class ArenaConsumer(PageSocket[Incoming]):
    """One open page, which watches one battle at a time."""

    async def connect(self) -> None:
        self._address = client_ip(socket_meta(self.scope))
        self._feed: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(ASKED_MAX)
        await super().connect()

    async def disconnect(self, code: int) -> None:
        # What was asked goes on: a message that was taken is not lost because its page went away.
        self._is_open = False
        if self._feed is not None:
            self._feed.cancel()
            await asyncio.gather(self._feed, return_exceptions=True)

    async def take(self, text: str | None) -> None:
        frame = frames.parse(text)
        # In a task, because a stop must not wait behind a message that is being looked at.
        await self._room.acquire()
        task = asyncio.create_task(self.handle(frame))
        self._asked.add(task)
        task.add_done_callback(self._handled)

    def _handled(self, task: "asyncio.Task[None]") -> None:
        self._asked.discard(task)
        self._room.release()

    async def obey(self, frame: Incoming) -> None:
        match frame:
            case BattleStart():
                opening = Opening(frame.arena, frame.text, frame.choice, frame.previous, frame.follows)
                await self._accepted(frame.ref, await asking.battle_open(actor=self._actor, opening=opening))
            case BattleSend():
                turn = await asking.battle_continue(
                    actor=self._actor, battle_id=frame.battle, text=frame.text, turn=frame.turn
                )
                await self._accepted(frame.ref, turn)
            case BattleVote():
                await self.send_frame(await in_thread(self._vote, frame))
            case BattleReveal():
                await self.send_frame(await in_thread(self._reveal, frame))
            case BattleStop():
                await asking.battle_halt(actor=self._actor, battle_id=frame.battle)
            case BattleAttach():
                await self._watch(await in_thread(self._watched, frame.battle))
            case _:
                assert_never(frame)

    async def _accepted(self, ref: str, turn: BattleTurn) -> None:
        battle_id = turn.battle.public_id
        html, url = render_user(turn.text), battle_url(battle_id)
        told = None if turn.battle.is_blind else await in_thread(names_told, turn.battle)
        names = None if told is None else (told[0].name, told[1].name)
        await self.send_frame(frames.accepted(ref, battle=battle_id, url=url, turn=turn.number, html=html, names=names))
        a, b = turn.generations
        await self._watch(Watched(battle_id, turn.number, (a.public_id, b.public_id), turn.battle.is_blind))

    # --- In a thread --------------------------------------------------------------------------------------------------

    def _vote(self, frame: BattleVote) -> Frame:
        vote = vote_cast(
            actor=self._actor, battle_id=frame.battle, verdict=frame.verdict, turn=frame.turn, address=self._address
        )
        return self._told(frame, vote.battle) | told_about(vote)

    def _reveal(self, frame: BattleReveal) -> Frame:
        return self._told(frame, battle_reveal(actor=self._actor, battle_id=frame.battle)) | told_about(None)

    def _told(self, frame: BattleVote | BattleReveal, battle: Battle) -> Frame:
        names = names_told(battle)
        assert names is not None  # noqa: S101  # they have just been revealed
        a, b = map(asdict, names)
        return {"type": "battle.revealed", "ref": frame.ref, "battle": str(frame.battle), "a": a, "b": b}

    def _watched(self, battle_id: UUID) -> Watched:
        battle = selectors.battle_get(self._actor, battle_id)
        last = selectors.last_turn_get(selectors.sides_get(battle))
        if last is None:
            raise BattleNotFound
        a, b = last.generations
        return Watched(battle_id, battle.n_turns, (a.public_id, b.public_id), battle.is_blind)

    # --- Watching and telling -----------------------------------------------------------------------------------------

    async def _watch(self, turn: Watched) -> None:
        if not self._is_open:
            return  # nobody would end it
        if self._feed is not None:
            self._feed.cancel()  # it sends nothing more, so no frame of another turn comes in between
        self._feed = asyncio.create_task(self.pass_on(feed.follow(turn), f"battle {turn.battle}"))

    async def refuse(self, frame: Incoming | None, error: SiteError) -> None:
        failure = Failure.of(error)
        match frame:
            case None | BattleAttach() | BattleStop():
                await self.send_frame(frames.error(failure))
            case _:
                await self.send_frame(frames.refused(frame.ref, failure))
