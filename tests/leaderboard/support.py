"""Votes as tests write them, and the command as they run it."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from itertools import combinations
from random import Random
from typing import Any, cast

import pytest
from django.core.management import call_command
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Arena, Battle, Contestant, Position, Side, Verdict, Vote
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, Generation, GenerationState, Message, Role
from apps.leaderboard import services
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.slices import Boards, boards_make
from apps.leaderboard.services import snapshot_build
from tests.live import LiveSite

CODE = "Write a Python function, please."
TRAVEL = "Tell me about the history of the city of Lisbon."


def vote(
    a: Contestant, b: Contestant, verdict: Verdict = Verdict.A, *, user: User | None = None, **fields: Any
) -> Vote:
    battle_fields = {"is_anonymous": fields.pop("is_anonymous", True)}
    battle = Battle.objects.create(arena=a.arena, user=user, **battle_fields)
    for position, contestant in ((Position.A, a), (Position.B, b)):
        Side.objects.create(battle=battle, position=position, contestant=contestant)
    return Vote.objects.create(battle=battle, verdict=verdict, n_turns=1, **fields)


def said(cast: Vote, prompts: list[str], answers: tuple[list[str], list[str]]) -> None:
    """Give a battle its texts."""
    asker, _ = User.objects.get_or_create(username="asker")
    for side, of_side in zip(cast.battle.sides.order_by("position"), answers, strict=True):
        conversation = Conversation.objects.create(user=asker, title="Battle", updated_at=timezone.now())
        leaf = None
        for prompt, answer in zip(prompts, of_side, strict=True):
            for role, text in ((Role.USER, prompt), (Role.ASSISTANT, answer)):
                leaf = Message.objects.create(conversation=conversation, parent=leaf, role=role, content=text)
        Conversation.objects.filter(pk=conversation.pk).update(active_leaf=leaf)
        Side.objects.filter(pk=side.pk).update(conversation=conversation)


def while_rating(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, between reading votes and publishing their board."""

    def boards_make_later(*arguments: Any) -> Boards:
        monkeypatch.setattr(services, "boards_make", boards_make)
        happens()
        return boards_make(*arguments)

    monkeypatch.setattr(services, "boards_make", boards_make_later)


def answered(contestant: Contestant, user: User, *, tokens_per_s: list[float]) -> None:
    """Complete answers of battles, with their speeds."""
    for speed in tokens_per_s:
        conversation = Conversation.objects.create(user=user, title="", updated_at=timezone.now())
        battle = Battle.objects.create(arena=contestant.arena)
        Side.objects.create(battle=battle, position=Position.A, contestant=contestant, conversation=conversation)
        message = Message.objects.create(conversation=conversation, role=Role.ASSISTANT, content="Yes.")
        Generation.objects.create(
            conversation=conversation, message=message, state=GenerationState.COMPLETE, tokens_per_s=speed
        )


def votes_between(*names: str, n: int = 12) -> None:
    """`n` votes for each two of an open arena's contestants, of which the earlier name wins two thirds.

    Five of six are about code, and what is long or has headings wins as often as not. Models that there are not yet
    come with them. A site of other processes runs it by `manage.py shell`.
    """
    arena, random = Arena.objects.get(), Random(5)
    for name in names:
        LanguageModel.objects.get_or_create(name=name, defaults={"organisation": f"{name} lab", "licence": "MIT"})
    contestants = Contestant.objects.filter(arena=arena, model__name__in=names)
    by_name = {contestant.name: contestant for contestant in contestants}
    for one, other in combinations(names, 2):
        for i in range(n):
            cast = vote(by_name[one], by_name[other], Verdict.B if i % 3 == 0 else Verdict.A)
            said(cast, [TRAVEL if i % 6 == 5 else CODE], ([written(random)], [written(random)]))


def written(random: Random) -> str:
    """An answer of some length, with some Markdown."""
    lines = ["# Head"] * random.randint(0, 2) + ["- item"] * random.randint(0, 3) + ["**bold**"] * random.randint(0, 3)
    return "\n".join([*lines, "word " * random.randint(5, 60)])


def published(**config: Any) -> Snapshot:
    """The board of the open arena as `leaderboard build` makes it, without the charts, which take most of its time."""
    return snapshot_build(Arena.objects.get(), BoardConfig(**config))[0]


def body_of(reply: HttpResponseBase) -> bytes:
    """Of a reply that may be streamed."""
    if not isinstance(reply, StreamingHttpResponse):
        assert isinstance(reply, HttpResponse)
        return reply.content

    pieces = cast("AsyncIterator[bytes]", reply.streaming_content)

    async def read() -> bytes:
        return b"".join([piece async for piece in pieces])

    return asyncio.run(read())


def votes_file(client: Client, query: str = "") -> bytes:
    """As the open arena's page gives it."""
    reply = client.get(f"/leaderboard/of/public/votes.jsonl{query}")
    assert reply.status_code == 200
    return body_of(reply)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("leaderboard", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def board_publish(site: LiveSite, *names: str, n: int = 12) -> None:
    """Votes and a board on a site of other processes, by one command: each takes seconds to start."""
    cast = f"from tests.leaderboard.support import command, votes_between; votes_between(*{names!r}, n={n})"
    site.manage("shell", "--no-imports", "--command", f"{cast}; command('build')")
