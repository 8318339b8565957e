"""What boards ask about the texts of battles, found once for each vote: a refresh reads only texts of new votes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from apps.arena.models import Arena, Position, Side, Vote
from apps.conversations.models import Message, Role
from apps.leaderboard.battle_files.categories import categories_of
from apps.leaderboard.battle_files.style import Counts, counts_of
from apps.leaderboard.models import VoteTally, VoteTraits
from apps.leaderboard.tallies import arena_hold

_AT_ONCE = 500
_SIDE = ("battle_id", "position", "conversation_id", "conversation__active_leaf_id")

_Texts = tuple[int | None, int | None]
"""Of a side: the conversation, unless it is erased, and its active leaf."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A message of a conversation."""

    parent: int | None
    role: str
    content: str
    n_tokens: int | None


@dataclass(frozen=True, slots=True)
class _Cast:
    """A vote without traits, and what was said on each side, by position."""

    pk: int
    n_turns: int
    sides: dict[str, _Texts]


def traits_write(arena: Arena, counted: VoteTally | None = None, *, since: datetime | None = None) -> list[int]:
    """For every vote of the arena, or those since then, that has none yet, and say which these were.

    They are counted in `counted`, or will be; any other tally is void then.
    """
    written: list[int] = []
    fresh = Vote.objects.filter(battle__arena=arena, traits=None)
    if since is not None:
        fresh = fresh.filter(created_at__gte=since)
    for votes in _chunks(fresh):
        said = _said_in(votes)
        traits = [_traits(vote, said) for vote in votes]
        with transaction.atomic():
            arena_hold(arena)
            VoteTally.objects.filter(arena=arena).exclude(pk=counted.pk if counted else 0).delete()
            VoteTraits.objects.bulk_create(traits, ignore_conflicts=True)
        written += [vote.pk for vote in votes]
    return written


def prompts_of(votes: Sequence[int]) -> dict[int, list[str]]:
    """What was asked in the turns that were judged, by vote, where the texts are there still."""
    found: dict[int, list[str]] = {}
    for some in _chunks(Vote.objects.filter(pk__in=votes)):
        said = _said_in(some)
        asked = {vote.pk: _prompts(_judged(vote.sides[Position.A], vote.n_turns, said)) for vote in some}
        found |= {pk: prompts for pk, prompts in asked.items() if prompts}
    return found


def _chunks(fresh: QuerySet[Vote]) -> Iterator[list[_Cast]]:
    """By key, each from where the one before ended: what was written just now is not looked through again and again."""
    last = 0
    columns = fresh.order_by("pk").values_list("pk", "battle_id", "n_turns")
    while votes := list(columns.filter(pk__gt=last)[:_AT_ONCE]):
        sides: defaultdict[int, dict[str, _Texts]] = defaultdict(dict)
        found = Side.objects.filter(battle__in=[battle for _, battle, _ in votes]).order_by()
        for battle, position, conversation, leaf in found.values_list(*_SIDE):
            sides[battle][position] = conversation, leaf
        yield [_Cast(pk, n_turns, sides[battle]) for pk, battle, n_turns in votes]
        if len(votes) < _AT_ONCE:
            return
        last, _, _ = votes[-1]


def _said_in(votes: Sequence[_Cast]) -> dict[int, dict[int, _Said]]:
    """By conversation and key, in one query."""
    conversations = [conversation for vote in votes for conversation, _ in vote.sides.values() if conversation]
    found: defaultdict[int, dict[int, _Said]] = defaultdict(dict)
    rows = Message.objects.filter(conversation__in=conversations).order_by()
    columns = ("conversation_id", "pk", "parent_id", "role", "content", "generation__completion_tokens")
    for conversation, pk, *said in rows.values_list(*columns):
        found[conversation][pk] = _Said(*said)
    return found


def _traits(vote: _Cast, said: dict[int, dict[int, _Said]]) -> VoteTraits:
    """Of the turns that were judged."""
    a, b = (_judged(vote.sides[position], vote.n_turns, said) for position in Position)
    if not a or not b:
        return VoteTraits(vote_id=vote.pk)
    return VoteTraits(
        vote_id=vote.pk,
        categories=sorted(categories_of(_prompts(a))),
        style_a=list(_counts(a)),
        style_b=list(_counts(b)),
    )


def _judged(side: _Texts, n_turns: int, said: dict[int, dict[int, _Said]]) -> list[_Said]:
    """The path to the active leaf, as far as the voter had seen it; nothing of texts that were erased."""
    conversation, at = side
    path: list[_Said] = []
    while conversation is not None and at is not None and at in said[conversation]:
        path.append(said[conversation][at])
        at = path[-1].parent
    turns = [message for message in path[::-1] if message.role in (Role.USER, Role.ASSISTANT)]
    return turns[: 2 * n_turns]


def _prompts(turns: list[_Said]) -> list[str]:
    return [message.content for message in turns if message.role == Role.USER]


def _counts(turns: list[_Said]) -> Counts:
    answers = [message for message in turns if message.role == Role.ASSISTANT]
    tokens = [message.n_tokens for message in answers if message.n_tokens is not None]
    return counts_of((answer.content for answer in answers), sum(tokens) if len(tokens) == len(answers) else None)
