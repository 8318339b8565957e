"""The chat socket (docs/chat_socket.md): checks a frame, calls one service, passes on what readers say.

Answers do not belong to it: when it closes, they go on.
"""

import asyncio
from contextlib import aclosing
from typing import assert_never
from uuid import UUID

from apps.conversations import frames
from apps.conversations.begin import beside_begin, turn_begin
from apps.conversations.errors import TooManyAttached
from apps.conversations.frames import (
    ConversationLook,
    GenerationAttach,
    Incoming,
    TurnAsked,
    TurnBeside,
    TurnContinue,
    TurnEdit,
    TurnRegenerate,
    TurnSend,
    TurnStop,
)
from apps.conversations.hints import hint_send, hints
from apps.conversations.live import feed
from apps.conversations.live.registry import reader_of
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.accepted import accepted_beside_frame, accepted_frame
from apps.conversations.selectors.conversations import generation_get_owned, hint_get, hint_of
from apps.conversations.services.beside import TurnBeside as StoredBeside
from apps.conversations.services.generations import generation_request_stop
from apps.conversations.services.turns import Turn
from apps.conversations.sockets import PageSocket
from apps.core.errors import SiteError
from apps.core.threads import in_thread

ATTACHED_MAX = 32
"""Answers that one page may follow at a time."""


class ChatConsumer(PageSocket[Incoming]):
    """One open page."""

    async def connect(self) -> None:
        self._feeds: dict[UUID, asyncio.Task[None]] = {}
        self._turns: set[asyncio.Task[None]] = set()
        self._beginning = asyncio.Lock()
        await super().connect()
        self._hints = asyncio.create_task(self._pass_on_hints())

    async def disconnect(self, code: int) -> None:
        # What was sent before the page went away is answered all the same.
        await asyncio.gather(*self._turns, return_exceptions=True)
        tasks = [self._hints, *self._feeds.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def take(self, text: str | None) -> None:
        frame = frames.parse(text)
        if not isinstance(frame, TurnAsked):
            await self.handle(frame)
        elif len(self._turns) >= ATTACHED_MAX:
            await self.refuse(frame, TooManyAttached(limit=ATTACHED_MAX))
        else:
            self._take_up(frame)

    def _take_up(self, frame: TurnAsked) -> None:
        """Begin the turn beside the socket: its text may be looked at for a while, and who stops an answer must not
        wait for that."""
        turn = asyncio.create_task(self._begin_in_order(frame))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _begin_in_order(self, frame: Incoming) -> None:
        """Begin a turn after those that were sent before it."""
        async with self._beginning:
            await self.handle(frame)

    async def obey(self, frame: Incoming) -> None:
        match frame:
            case TurnBeside():
                self._check_room(len(frame.models))
                await self._begun_beside(frame.ref, await beside_begin(self._actor, frame))
            case TurnSend() | TurnEdit() | TurnRegenerate() | TurnContinue():
                self._check_room()
                await self._begun(frame.ref, await turn_begin(self._actor, frame))
            case TurnStop():
                generation = await in_thread(generation_get_owned, self._actor, frame.generation)
                if await in_thread(generation_request_stop, generation.public_id):
                    reader_of(generation.public_id).stop()
            case GenerationAttach():
                generation = await in_thread(generation_get_owned, self._actor, frame.generation)
                if generation.public_id not in self._feeds:
                    self._check_room()
                await self._attach(generation.public_id)
            case ConversationLook():
                hint = await in_thread(hint_get, self._actor, frame.conversation)
                await self.send_frame(frames.changed(hint))
            case _:
                assert_never(frame)

    async def _begun(self, ref: str, turn: Turn) -> None:
        if turn.conversation.columns:
            await self._begun_beside(ref, StoredBeside(turn.conversation, [turn.generation]))
            return
        # Reading begins before the page hears of it: its going away now must not delay the answer.
        reader_of(turn.generation.public_id)
        await self.send_frame(await in_thread(accepted_frame, ref, turn))
        await self._attach(turn.generation.public_id)
        await hint_send(self._actor, await in_thread(hint_of, turn.conversation))

    async def _begun_beside(self, ref: str, turn: StoredBeside) -> None:
        """The page attaches by itself, when it has drawn the columns."""
        for generation in turn.generations:
            reader_of(generation.public_id)
        await self.send_frame(accepted_beside_frame(ref, turn))
        await hint_send(self._actor, await in_thread(hint_of, turn.conversation))

    # --- Following answers --------------------------------------------------------------------------------------------

    def _check_room(self, n_answers: int = 1) -> None:
        if len(self._feeds) + n_answers > ATTACHED_MAX:
            raise TooManyAttached(limit=ATTACHED_MAX)

    async def _attach(self, generation_id: UUID) -> None:
        """Follow an answer from its snapshot on; one that is followed already begins anew."""
        if (old := self._feeds.pop(generation_id, None)) is not None:
            old.cancel()  # it sends nothing more, so no delta comes after the new snapshot
        task = self._feeds[generation_id] = asyncio.create_task(
            self.pass_on(feed.follow(reader_of(generation_id)), f"generation {generation_id}")
        )
        task.add_done_callback(lambda done: self._detached(generation_id, done))

    def _detached(self, generation_id: UUID, task: "asyncio.Task[None]") -> None:
        if self._feeds.get(generation_id) is task:
            del self._feeds[generation_id]

    async def _pass_on_hints(self) -> None:
        async with aclosing(hints(self._actor)) as heard:
            async for hint in heard:
                await self.send_frame(frames.changed(hint))

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def refuse(self, frame: Incoming | None, error: SiteError) -> None:
        failure = Failure.of(error)
        match frame:
            case TurnSend() | TurnBeside() | TurnEdit() | TurnRegenerate() | TurnContinue():
                await self.send_frame(frames.refused(frame.ref, failure))
            case _:
                await self.send_frame(frames.error(failure))
