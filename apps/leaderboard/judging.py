"""Have a model of the site judge how hard the prompts of votes are, in the place of the rule for the category `hard`.

Votes whose texts are erased keep what the rule found. What the model answers is believed for nothing else.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction

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

_AT_ONCE = 4
_CHUNK = 20
"""Votes whose tags are stored together."""
UNREADABLE = "its answer has no verdict that can be read"

Verdict = tuple[str, ...]
"""The criteria that a prompt meets."""


@dataclass(slots=True)
class Judged:
    """What came of it. `failed` by reason: about these votes is asked again the next time."""

    n_judged: int = 0
    n_hard: int = 0
    n_erased: int = 0
    """Votes without texts."""
    failed: Counter[str] = field(default_factory=Counter)


def prompts_judge(arena: Arena, model: str, *, limit: int | None, told: Callable[[Judged], None]) -> Judged:
    """Ask about the prompts of votes that no model has judged yet, the oldest first; `told` after every few.

    Raises: SiteError, what the model's last answer was, if it answers none of a few questions: those before are stored.
    """
    return asyncio.run(_judge(arena, model, limit, told))


async def _judge(arena: Arena, model: str, limit: int | None, told: Callable[[Judged], None]) -> Judged:
    found, last, n_left = Judged(), 0, limit
    while n_left is None or n_left > 0:
        size = _CHUNK if n_left is None else min(_CHUNK, n_left)
        votes = await in_thread(_unjudged, arena, last, size)
        if not votes:
            break
        last = votes[-1]
        prompts = await in_thread(prompts_of, votes)
        found.n_erased += len(votes) - len(prompts)
        n_left = None if n_left is None else n_left - len(prompts)
        verdicts, error = await _asked(model, prompts, found)
        await in_thread(_store, arena, model, verdicts)
        if error is not None:
            raise error
        found.n_judged += len(verdicts)
        found.n_hard += sum(map(_is_hard, verdicts.values()))
        told(found)
    return found


def _unjudged(arena: Arena, last: int, n: int) -> list[int]:
    fresh = Vote.objects.rated(arena).filter(pk__gt=last, traits__isnull=False, traits__criteria=None)
    return list(fresh.order_by("pk").values_list("pk", flat=True)[:n])


async def _asked(
    model: str, prompts: dict[int, list[str]], found: Judged
) -> tuple[dict[int, Verdict], BaseException | None]:
    """The verdicts, and why to go no further: a fault of ours, or the last error if the model answers none of them."""
    places = asyncio.Semaphore(_AT_ONCE)
    answers = await asyncio.gather(*(_answer(model, of, places) for of in prompts.values()), return_exceptions=True)
    verdicts: dict[int, Verdict] = {}
    errors: list[SiteError] = []
    faults: list[BaseException] = []
    for vote, answer in zip(prompts, answers, strict=True):
        match answer:
            case SiteError():
                errors.append(answer)
                found.failed[answer.message] += 1
            case BaseException():
                faults.append(answer)
            case str() if (verdict := criteria_met(answer)) is not None:
                verdicts[vote] = verdict
            case _:
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
def _store(arena: Arena, model: str, verdicts: dict[int, Verdict]) -> None:
    """The next board is made of all votes, if a vote comes into a category or leaves it."""
    arena_hold(arena)
    rows = list(VoteTraits.objects.filter(vote__in=verdicts))
    are_changed = False
    for row in rows:
        row.criteria, row.judge = list(verdicts[row.pk]), model
        categories = sorted({*row.categories} - {HARD} | ({HARD} if _is_hard(verdicts[row.pk]) else set()))
        are_changed |= categories != row.categories
        row.categories = categories
    VoteTraits.objects.bulk_update(rows, ["criteria", "judge", "categories"])
    if are_changed:
        votes_changed(arena)


def _is_hard(verdict: Verdict) -> bool:
    return len(verdict) >= HARD_MIN_CRITERIA
