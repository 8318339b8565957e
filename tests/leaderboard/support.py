"""Votes as tests write them, and the command as they run it."""

import io
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from apps.accounts.models import User
from apps.arena.models import Battle, Contestant, Position, Side, Verdict, Vote
from apps.conversations.models import Conversation, Generation, GenerationState, Message, Role


def vote(
    a: Contestant, b: Contestant, verdict: Verdict = Verdict.A, *, user: User | None = None, **fields: Any
) -> Vote:
    battle_fields = {"is_anonymous": fields.pop("is_anonymous", True)}
    battle = Battle.objects.create(arena=a.arena, user=user, **battle_fields)
    for position, contestant in ((Position.A, a), (Position.B, b)):
        Side.objects.create(battle=battle, position=position, contestant=contestant)
    return Vote.objects.create(battle=battle, verdict=verdict, n_turns=1, **fields)


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


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("leaderboard", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()
