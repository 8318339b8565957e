"""Have a model of the site judge how hard the prompts of votes are, in the place of the rule for the category `hard`.

Votes whose texts are erased keep what the rule found. What the model answers is believed for nothing else.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from django.db.models import Case, QuerySet, When

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Vote
from apps.core.errors import SiteError
from apps.core.threads import in_thread
from apps.leaderboard.battle_files.categories import HARD, HARD_MIN_CRITERIA
from apps.leaderboard.criteria import ANSWER_MAX_TOKENS, criteria_met, question
from apps.leaderboard.models import VoteTraits
from apps.leaderboard.tallies import arena_hold, votes_changed
from apps.leaderboard.traits import prompts_of
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.errors import WorkerRefused

_AT_ONCE = 4
_CHUNK = 20
"""Votes whose tags are stored together."""
UNREADABLE = "its answer has no verdict that can be read"

Verdict = tuple[str, ...]
"""The criteria that a prompt meets."""


@dataclass(slots=True)
class Judged:
    """What came of it. `failed` by reason: about these votes is asked again another time."""

    n_judged: int = 0
    n_hard: int = 0
    n_erased: int = 0
    """Votes without texts."""
    failed: Counter[str] = field(default_factory=Counter)
    ended_by: SiteError | None = None
    """The model's last error, where it answered none of a few questions and no more were asked."""


def prompts_judge(arena: Arena, model: str, *, limit: int | None, told: Callable[[Judged], None]) -> Judged:
    """Ask about the prompts of votes that no model has judged yet, the oldest first; `told` after every few.

    Those about which a model was asked in vain come last, and last of all those about which this one was.
    """
    return asyncio.run(_judge(arena, model, limit, told))


async def _judge(arena: Arena, model: str, limit: int | None, told: Callable[[Judged], None]) -> Judged:
    found, n_left = Judged(), limit
    waiting = iter(await in_thread(_waiting, arena, model))
    while votes := list(islice(waiting, _CHUNK if n_left is None else min(_CHUNK, n_left))):
        votes = await in_thread(_unjudged_of, arena, votes)
        prompts = await in_thread(prompts_of, votes)
        found.n_erased += len(votes) - len(prompts)
        n_left = None if n_left is None else n_left - len(prompts)
        verdicts, error = await _asked(model, prompts, found)
        await in_thread(_store, arena, model, verdicts)
        read = [verdict for verdict in verdicts.values() if verdict is not None]
        found.n_judged += len(read)
        found.n_hard += sum(map(_is_hard, read))
        told(found)
        if isinstance(error, SiteError):
            found.ended_by = error
            break
        if error is not None:
            raise error
    return found


def _unjudged(arena: Arena) -> QuerySet[Vote]:
    return Vote.objects.rated(arena).filter(traits__isnull=False, traits__criteria=None)


def _waiting(arena: Arena, model: str) -> list[int]:
    """In their turn, so that those which cannot be judged are in nobody's way."""
    turn = Case(When(traits__judge="", then=0), When(traits__judge=model, then=2), default=1)
    return list(_unjudged(arena).order_by(turn, "pk").values_list("pk", flat=True))


def _unjudged_of(arena: Arena, votes: Sequence[int]) -> list[int]:
    """Those that nobody has judged, and that no admin has taken out, meanwhile."""
    return list(_unjudged(arena).filter(pk__in=votes).values_list("pk", flat=True))


async def _asked(
    model: str, prompts: dict[int, list[str]], found: Judged
) -> tuple[dict[int, Verdict | None], BaseException | None]:
    """The verdicts, none for what this model cannot judge; and why to go no further.

    That is a fault of ours, or the last error if the model answers none of them, unless it is the prompt's own.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    answers = await asyncio.gather(*(_answer(model, of, places) for of in prompts.values()), return_exceptions=True)
    verdicts: dict[int, Verdict | None] = {}
    errors: list[SiteError] = []
    faults: list[BaseException] = []
    for vote, answer in zip(prompts, answers, strict=True):
        match answer:
            case WorkerRefused():
                verdicts[vote] = None
                found.failed[answer.message] += 1
            case SiteError():
                errors.append(answer)
                found.failed[answer.message] += 1
            case BaseException():
                faults.append(answer)
            case _:
                verdicts[vote] = verdict = criteria_met(answer)
                if verdict is None:
                    found.failed[UNREADABLE] += 1
    if errors and len(errors) == len(prompts):
        return verdicts, errors[-1]
    return verdicts, faults[0] if faults else None


async def _answer(model: str, prompts: Sequence[str], places: asyncio.Semaphore) -> str:
    """What the model says; nothing of an answer that has no text. Raises: SiteError."""
    body = {"messages": question(prompts), "max_tokens": ANSWER_MAX_TOKENS, "temperature": 0}
    async with places:
        whole = await relay.complete(Call(Actor(is_installation=True), model, body))
    match whole:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case _:
            return ""


@transaction.atomic
def _store(arena: Arena, model: str, verdicts: dict[int, Verdict | None]) -> None:
    """The next board is made of all votes, if a vote comes into a category or leaves it."""
    arena_hold(arena)
    rows = list(VoteTraits.objects.filter(vote__in=verdicts, criteria=None))
    are_changed = False
    for row in rows:
        row.judge = model
        if (verdict := verdicts[row.pk]) is None:
            continue
        row.criteria = list(verdict)
        categories = sorted({*row.categories} - {HARD} | ({HARD} if _is_hard(verdict) else set()))
        are_changed |= categories != row.categories
        row.categories = categories
    VoteTraits.objects.bulk_update(rows, ["criteria", "judge", "categories"])
    if are_changed:
        votes_changed(arena)


def _is_hard(verdict: Verdict) -> bool:
    return len(verdict) >= HARD_MIN_CRITERIA
