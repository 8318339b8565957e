"""What is known about a vote when it is cast, read for `integrity`. Every query is bounded."""

from collections import Counter
from datetime import datetime, timedelta

from django.db.models import Avg, Case, Count, F, Q, QuerySet, Value, When

from apps.arena.integrity import MIN_HISTORY, Evidence, Habits, PastVote
from apps.arena.live.pacing import rest_at_s
from apps.arena.models import Battle, Follows, Position, Side, Verdict, Vote
from apps.arena.selectors import began_at, written_of
from apps.arena.spoken import spoken
from apps.conversations.models import Generation, GenerationState, Message, Role

MAX_HISTORY = 200
"""The voter's latest votes, in which habits are looked for."""
MAX_OTHERS = 2000
"""The latest votes of others on those whom the voter has judged."""
MIN_OTHERS = 20
"""Votes of others before a contestant's win rate means something."""

_SCORES = {Verdict.A: 1.0, Verdict.B: 0.0}


def evidence_get(
    battle: Battle, sides: tuple[Side, Side], verdict: Verdict, now: datetime, *, network: str = ""
) -> Evidence:
    """About a vote that is not stored yet, on a battle without names whose last turn has ended.

    `network`: the digest of a visitor's, if it is known.
    """
    conversations = [side.conversation_id for side in sides]
    messages = list(Message.objects.filter(conversation__in=conversations).order_by("pk"))
    generations = list(
        Generation.objects.filter(conversation__in=conversations).select_related("message").order_by("-pk")
    )
    # A message that comes at this moment has begun two more; the vote is then refused.
    last_two = [generation for generation in generations if generation.finished_at is not None][:2]
    answers = [message for message in messages if message.role == Role.ASSISTANT]
    a, b = (_last(answers, side) for side in sides)
    same = [_pair(known) for known in _known_of_same_question(battle)]
    pair = frozenset(side.contestant_id for side in sides)
    cast = PastVote(sides[0].contestant_id, sides[1].contestant_id, _score(verdict))
    owners, networks = _owner(battle), Q(network=network)
    return Evidence(
        questions=[message.content for message in messages if _is_question(message, sides[0])],
        answers=[spoken(message.content) for message in answers],
        last_answers=(a, b),
        names=_names(sides),
        makers=[side.contestant.model.organisation for side in sides if side.contestant.model],
        is_rematch=battle.follows == Follows.REMATCH,
        was_stopped=any(generation.state == GenerationState.STOPPED for generation in generations),
        read_s=(now - max(map(began_at, last_two))).total_seconds(),
        whole_s=now.timestamp() - rest_at_s(*map(written_of, last_two)),
        open_s=(now - battle.created_at).total_seconds(),
        n_same_question=len(same),
        n_same_battle=same.count(pair),
        voter=_habits(battle, owners, cast, now),
        network=_habits(battle, networks, cast, now) if network else None,
    )


def _names(sides: tuple[Side, Side]) -> list[str]:
    found: list[str] = []
    for side in sides:
        model = side.contestant.model
        found += [side.contestant.name] if model is None else [side.contestant.name, model.name, str(model)]
    return list(dict.fromkeys(found))


def _is_question(message: Message, side: Side) -> bool:
    """Both sides have the same ones, so those of one are looked at."""
    return message.role == Role.USER and message.conversation_id == side.conversation_id


def _last(answers: list[Message], side: Side) -> str:
    return next(
        (spoken(answer.content) for answer in answers[::-1] if answer.conversation_id == side.conversation_id), ""
    )


def _habits(battle: Battle, whose: Q, cast: PastVote, now: datetime) -> Habits:
    """Of whoever's votes these are, with the one that is cast now."""
    votes = Vote.objects.filter(whose, battle__arena_id=battle.arena_id, battle__is_anonymous=True)
    history = [*_history(votes), cast]
    counts = votes.filter(created_at__gt=now - timedelta(hours=1)).aggregate(
        hour=Count("pk"), minute=Count("pk", filter=Q(created_at__gt=now - timedelta(minutes=1)))
    )
    return Habits(counts["minute"] + 1, counts["hour"] + 1, history, _win_rates(battle, history, votes))


def _known_of_same_question(battle: Battle) -> list[Battle]:
    """The owner's other battles that began with the same message and whose names were told, with a vote or without."""
    theirs = Battle.objects.filter(_owner(battle, ""), arena_id=battle.arena_id, prompt_digest=battle.prompt_digest)
    known = theirs.filter(Q(revealed_at__isnull=False) | Q(is_anonymous=False)).exclude(pk=battle.pk)
    return list(known.prefetch_related("sides").order_by("-pk")[:MAX_HISTORY])


def _owner(battle: Battle, path: str = "battle__") -> Q:
    if battle.user_id is not None:
        return Q(**{f"{path}user_id": battle.user_id})
    if battle.visitor_id is not None:
        return Q(**{f"{path}visitor_id": battle.visitor_id})
    nobody = {f"{path}user": None, f"{path}visitor": None}
    return Q(**nobody, **{f"{path}api_key_id": battle.api_key_id})


def _with_sides(votes: QuerySet[Vote]) -> list[Vote]:
    newest = votes.select_related("battle").prefetch_related("battle__sides").order_by("-pk")
    return list(newest[:MAX_HISTORY])


def _history(votes: QuerySet[Vote]) -> list[PastVote]:
    found = []
    for vote in _with_sides(votes):
        by_position = {side.position: side.contestant_id for side in vote.battle.sides.all()}
        found.append(PastVote(by_position[Position.A], by_position[Position.B], _score(Verdict(vote.verdict))))
    return found


def _pair(battle: Battle) -> frozenset[int]:
    return frozenset(side.contestant_id for side in battle.sides.all())


def _score(verdict: Verdict) -> float:
    return _SCORES.get(verdict, 0.5)


def _win_rates(battle: Battle, history: list[PastVote], own: QuerySet[Vote]) -> dict[int, float]:
    """Of those who were judged often enough, by the newest of everybody else's votes that count."""
    n_judged = Counter(key for vote in history if vote.is_decided for key in (vote.a, vote.b))
    often = [key for key, n in n_judged.items() if n >= MIN_HISTORY]
    if not often:
        return {}
    won = Case(When(battle__vote__verdict=F("position"), then=Value(1.0)), default=Value(0.0))
    votes = Vote.objects.rated(battle.arena).filter(verdict__in=list(_SCORES)).exclude(pk__in=own.values("pk"))
    newest = Side.objects.filter(contestant__in=often, battle__vote__in=votes).order_by("-pk")[:MAX_OTHERS]
    rates = Side.objects.filter(pk__in=newest.values("pk")).values("contestant").annotate(n=Count("pk"), rate=Avg(won))
    return {row["contestant"]: row["rate"] for row in rates.order_by() if row["n"] >= MIN_OTHERS}
