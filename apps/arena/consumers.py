"""The arena socket (docs/arena_socket.md): checks a frame, calls one service, passes on what the feed says.

Battles do not belong to it: when it closes, answers go on.
"""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import asdict
from typing import assert_never
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer

from apps.accounts.actors import Actor, actor_get
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
from apps.arena.pages import battle_url, names_told
from apps.arena.services import asking
from apps.arena.services.battles import BattleTurn, Opening, battle_reveal
from apps.arena.services.votes import vote_cast
from apps.arena.verdicts import told_about
from apps.conversations.markdown import render_user
from apps.conversations.outcomes import Failure
from apps.core.client_ip import client_ip
from apps.core.errors import SiteError
from apps.core.frames import Frame
from apps.core.networks import network_note_socket, socket_meta
from apps.core.threads import in_thread

logger = logging.getLogger(__name__)

ASKED_MAX = 4
"""Requests of one page that are being worked on; of a page that sends more, the next waits."""


class ArenaConsumer(AsyncWebsocketConsumer):
    """One open page, which watches one battle at a time."""

    # Channels would refuse the socket while Redis is away, and nothing here needs it.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        network_note_socket(self.scope)
        self._actor: Actor = actor_get(self.scope["user"], self.scope["cookies"])
        self._address = client_ip(socket_meta(self.scope))
        self._feed: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(ASKED_MAX)
        self._sending = asyncio.Lock()
        self._is_open = True
        await self.accept()

    async def disconnect(self, code: int) -> None:
        # What was asked goes on: a message that was taken is not lost because its page went away.
        self._is_open = False
        if self._feed is not None:
            self._feed.cancel()
            await asyncio.gather(self._feed, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = frames.parse(text_data)
        except SiteError as exc:
            await self._send_frame(frames.error(Failure.of(exc)))
            return
        # In a task, because a stop must not wait behind a message that is being looked at.
        await self._room.acquire()
        task = asyncio.create_task(self._handle(frame))
        self._asked.add(task)
        task.add_done_callback(self._handled)

    def _handled(self, task: "asyncio.Task[None]") -> None:
        self._asked.discard(task)
        self._room.release()

    async def _handle(self, frame: Incoming) -> None:
        try:
            await self._do(frame)
        except SiteError as exc:
            await self._refuse(frame, exc)
        except OSError:
            logger.debug("a page went away before it was answered")
        except Exception:
            logger.exception("handling a %s frame failed", type(frame).__name__)
            await self._refuse(frame, SiteError())

    async def _do(self, frame: Incoming) -> None:
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
                await self._send_frame(await in_thread(self._vote, frame))
            case BattleReveal():
                await self._send_frame(await in_thread(self._reveal, frame))
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
        await self._send_frame(
            frames.accepted(ref, battle=battle_id, url=url, turn=turn.number, html=html, names=names)
        )
        a, b = turn.generations
        await self._watch(Watched(battle_id, turn.number, (a.public_id, b.public_id), turn.battle.is_blind))

    # --- In a thread --------------------------------------------------------------------------------------------------

    def _vote(self, frame: BattleVote) -> Frame:
        vote = vote_cast(
            actor=self._actor, battle_id=frame.battle, verdict=frame.verdict, turn=frame.turn, address=self._address
        )
        return self._told(frame) | told_about(vote)

    def _reveal(self, frame: BattleReveal) -> Frame:
        battle_reveal(actor=self._actor, battle_id=frame.battle)
        return self._told(frame) | told_about(None)

    def _told(self, frame: BattleVote | BattleReveal) -> Frame:
        names = names_told(selectors.battle_get(self._actor, frame.battle))
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

    # --- Watching and sending -----------------------------------------------------------------------------------------

    async def _watch(self, turn: Watched) -> None:
        if not self._is_open:
            return  # nobody would end it
        if self._feed is not None:
            self._feed.cancel()  # it sends nothing more, so no frame of another turn comes in between
        self._feed = asyncio.create_task(self._pass_on(turn))

    async def _pass_on(self, turn: Watched) -> None:
        try:
            async with aclosing(feed.follow(turn)) as following:
                async for frame in following:
                    await self._send_frame(frame)
        except SiteError as exc:
            await self._send_frame(frames.error(Failure.of(exc)))
        except OSError:
            logger.debug("a page went away during battle %s", turn.battle)
        except Exception:
            logger.exception("showing battle %s failed", turn.battle)
            await self._send_frame(frames.error(Failure.of(SiteError())))

    async def _refuse(self, frame: Incoming, error: SiteError) -> None:
        failure = Failure.of(error)
        match frame:
            case BattleAttach() | BattleStop():
                await self._send_frame(frames.error(failure))
            case _:
                await self._send_frame(frames.refused(frame.ref, failure))

    async def _send_frame(self, frame: Frame) -> None:
        # One at a time: a full socket must hold up all of them.
        async with self._sending:
            if self._is_open:
                await self.send(text_data=frames.dumped(frame))
