"""A page as the contract of the arena socket sees it, and an arena whose answers a test writes row by row."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from time import monotonic
from typing import Any
from uuid import uuid4

from channels.testing import WebsocketCommunicator
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.arena.models import Battle, Contestant, Follows
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.services.battles import BattleTurn, Opening, battle_start
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Generation, GenerationState, Message
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.services.generations import generation_finish
from apps.core.threads import in_thread
from apps.workers.models import HostedModel, HostedState, Worker
from tests.fake_worker import FakeWorker, Step
from tests.socket_page import RECEIVE_WITHIN_S, Frame, SocketPage, open_socket_page

COMPLETE = Outcome(GenerationState.COMPLETE, finish_reason="stop")
STOPPED = Outcome(GenerationState.STOPPED)
FAILED = Outcome(
    GenerationState.FAILED, error=Failure("workers.died", "The worker of owl-7b went away.", retryable=True)
)


@dataclass(frozen=True)
class Two:
    """The workers of both contestants, by the contestants' names."""

    workers: dict[str, FakeWorker]

    def play(self, *steps: Step) -> None:
        """Let both write the same next."""
        for worker in self.workers.values():
            worker.play(*steps)


def model_ready(name: str, **fields: Any) -> LanguageModel:
    """A model on a live worker that nobody will call."""
    model = LanguageModel.objects.create(name=name, **fields)
    later = timezone.now() + timedelta(hours=1)
    worker = Worker.objects.create(public_id=uuid4(), base_url="http://127.0.0.1:9", lease_expires_at=later)
    HostedModel.objects.create(worker=worker, model=model, state=HostedState.LOADED)
    return model


def started(actor: Actor, text: str = "Hi", *, seed: int = 0, arena: str = DEFAULT_SLUG, **opening: Any) -> BattleTurn:
    return battle_start(actor=actor, opening=Opening(arena, text, **opening), random=Random(seed))


def ended(
    turn: BattleTurn, a: Outcome = COMPLETE, b: Outcome = COMPLETE, *, texts: Sequence[str] = ("Yes.", "No.")
) -> Battle:
    """Write both ends, as the readers of the two answers do."""
    for generation, outcome, text in zip(turn.generations, (a, b), texts, strict=True):
        assert generation_finish(generation.public_id, outcome, text)
    # As if somebody had read both.
    asked_at = timezone.now() - timedelta(seconds=120)
    Generation.objects.filter(pk__in=[generation.pk for generation in turn.generations]).update(
        created_at=asked_at, finished_at=asked_at + timedelta(seconds=5)
    )
    return turn.battle


def asked_ago(seconds: float) -> None:
    """Make it so long since both were asked and, if that is past, answered, whatever the clock says."""
    now = timezone.now()
    Generation.objects.update(
        created_at=now - timedelta(seconds=seconds), ttft_ms=0, finished_at=now - timedelta(seconds=max(0, seconds))
    )


def ended_ago(seconds: float, *, asked_s: float) -> None:
    """Make it so long since both had ended and, with `asked_s`, since they began to write."""
    now = timezone.now()
    Generation.objects.update(
        created_at=now - timedelta(seconds=asked_s), ttft_ms=0, finished_at=now - timedelta(seconds=seconds)
    )


def secrets() -> list[str]:
    """Every name and id by which a side could be known."""
    rows = [
        *Contestant.objects.all(), *Conversation.objects.all(), *Generation.objects.all(), *Message.objects.all(),
        *Worker.objects.all(),
    ]  # fmt: skip
    ids = [str(row.public_id) for row in rows]
    names = [contestant.name for contestant in Contestant.objects.all()]
    models = [str(contestant.model.public_id) for contestant in Contestant.objects.select_related("model")]  # type: ignore[union-attr]
    return [*names, *ids, *models, *(text.replace("-", "") for text in (*ids, *models))]


async def until_states(*states: str) -> None:
    """Wait until the generations are in these, in the order of their names."""
    async with asyncio.timeout(RECEIVE_WITHIN_S):
        while await in_thread(_states) != sorted(states):
            pass  # each look at the database lets the readers go on


def _states() -> list[str]:
    return sorted(Generation.objects.values_list("state", flat=True))


def fought(actor: Actor, text: str = "Hi", *, texts: Sequence[str] = ("Yes.", "No."), **more: Any) -> Battle:
    """A battle of one turn, ready for its vote."""
    return ended(started(actor, text, **more), texts=texts)


def follow_up(battle: Battle, how: Follows) -> dict[str, Any]:
    return {"previous": battle.public_id, "follows": how}


@dataclass
class ShownSide:
    """What a page shows of one side, put together as docs/arena_socket.md says."""

    blocks: list[str] = field(default_factory=list)
    tail: str = ""
    n_restarts: int = 0

    def apply(self, update: Frame) -> None:
        if update["restart"]:
            self.blocks, self.tail = [], ""
            self.n_restarts += 1
        self.blocks += update["blocks"]
        if update["tail"] is not None:
            self.tail = update["tail"]
        self.tail += update["text"]

    @property
    def html(self) -> str:
        return "".join(self.blocks) + self.tail


class ArenaPage(SocketPage):
    """`sent` has every frame that came, as text, with its time; progress is applied to `a` and `b`."""

    REFUSED = "battle.refused"

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        super().__init__(communicator)
        self.sent: list[tuple[float, str]] = []
        self.a, self.b = ShownSide(), ShownSide()
        self.battle, self.turn = "", 0

    def apply(self, text: str, frame: Frame) -> None:
        self.sent.append((monotonic(), text))
        if frame["type"] == "battle.progress":
            self.a.apply(frame["a"])
            self.b.apply(frame["b"])

    async def until_shown(self, a: str = "", b: str = "") -> None:
        while a not in self.a.html or b not in self.b.html:
            await self.next()

    async def ask(self, text: str, **opening: Any) -> Frame:
        """Begin a battle, or go on with the one that is there; return how it was accepted."""
        if self.battle and not opening:
            await self.send({"type": "battle.send", "ref": "r", "battle": self.battle, "turn": self.turn, "text": text})
        else:
            start = {"arena": DEFAULT_SLUG, "choice": None, "previous": None, "follows": None} | opening
            await self.send({"type": "battle.start", "ref": "r", "text": text, **start})
        frame = await self.until("battle.accepted", "battle.refused")
        assert frame["type"] == "battle.accepted", frame
        self.battle, self.turn = frame["battle"], frame["turn"]
        return frame

    async def until_ended(self) -> Frame:
        return await self.until("battle.turn_ended")

    async def vote(self, verdict: str) -> Frame:
        vote = {"type": "battle.vote", "ref": "v", "battle": self.battle, "turn": self.turn, "verdict": verdict}
        await self.send(vote)
        return await self.until("battle.revealed", "battle.refused")

    async def attach(self, battle: str) -> None:
        self.battle = battle
        self.a, self.b = ShownSide(), ShownSide()
        await self.send({"type": "battle.attach", "battle": battle})


def open_arena_page(
    cookies: dict[str, str], origin: str = "http://localhost"
) -> AbstractAsyncContextManager[ArenaPage]:
    return open_socket_page(ArenaPage, "/ws/arena", cookies, origin)
