"""A battle as a record: both conversations as FastChat's clean battles have them, or the better and the worse answer.

What was judged is taken, and nothing that was said after it; what a model thought before it answered was not judged.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from apps.arena.models import Battle, Side, Verdict, Vote
from apps.arena.spoken import spoken
from apps.conversations.models import Conversation
from apps.datasets.formats.shapes import Shape
from apps.datasets.records import Role
from apps.datasets.site.asked import Asked, Found, Origin, Why
from apps.datasets.site.chats import system_of
from apps.datasets.site.paths import Path, Turn, paths_read, record_id

WINNERS = {
    Verdict.A: "model_a",
    Verdict.B: "model_b",
    Verdict.TIE: "tie",
    Verdict.BOTH_BAD: "tie (bothbad)",
}
"""As FastChat writes them. Source: FastChat, `fastchat/serve/monitor/clean_battle_data.py`."""


def battles_asked(asked: Asked) -> QuerySet[Battle]:
    """With texts: those of which only the vote is left say nothing."""
    found = Battle.objects.exclude(sides__conversation=None)
    if asked.arena:
        found = found.filter(arena__slug=asked.arena)
    if asked.since is not None:
        found = found.filter(created_at__gte=asked.since)
    return found if asked.until is None else found.filter(created_at__lt=asked.until)


def battles_read(keys: Sequence[int], asked: Asked) -> Iterator[Found | Why]:
    battles = Battle.objects.filter(pk__in=keys).select_related("arena", "vote").order_by("pk")
    found = list(battles.prefetch_related("sides__contestant", "sides__conversation"))
    paths = paths_read([talk for battle in found for talk in _talks(battle)])
    for battle in found:
        its_own = {conversation.pk: path for conversation, path in islice(paths, len(_talks(battle)))}
        yield _battle(battle, its_own, asked)


def _talks(battle: Battle) -> list[Conversation]:
    return [side.conversation for side in battle.sides.all() if side.conversation is not None]


def _battle(battle: Battle, paths: dict[int, Path], asked: Asked) -> Found | Why:
    sides = [side for side in battle.sides.all() if side.conversation_id in paths]
    if len(sides) != 2:
        return Why.GONE
    names = [side.contestant.name for side in sides]
    if asked.model and asked.model not in names:
        return Why.OTHER_MODEL
    both = [paths[side.conversation_id] for side in sides if side.conversation_id is not None]
    if (why := both[0].why_not() or both[1].why_not()) is not None:
        return why
    turns = _judged(battle, both)
    if not turns[0]:
        return Why.NOT_WHOLE
    value = _pair(battle, sides, turns) if asked.shape is Shape.PREFERENCE else _two(battle, sides, turns)
    if isinstance(value, Why):
        return value
    ids = tuple(str(side.conversation.public_id) for side in sides if side.conversation is not None)
    keys = tuple(message.pk for one in turns for turn in one for message in turn)
    return Found(value, Origin(ids, keys, str(battle.public_id)))


def _judged(battle: Battle, both: list[Path]) -> list[list[Turn]]:
    """As many turns of each side as were judged; without a vote, as are whole on both. None, if one of those is not."""
    turns = [path.turns() for path in both]
    n_whole = min(map(len, turns))
    vote = _vote(battle)
    n_turns = n_whole if vote is None else vote.n_turns if vote.n_turns <= n_whole else 0
    return [one[:n_turns] for one in turns]


def _vote(battle: Battle) -> Vote | None:
    return getattr(battle, "vote", None)


def _about(battle: Battle, sides: Sequence[Side], turns: Sequence[list[Turn]]) -> dict[str, Any]:
    names = {f"model_{letter}": side.contestant.name for letter, side in zip("ab", sides, strict=True)}
    return {"arena": battle.arena.slug, "anony": battle.is_anonymous, "turn": len(turns[0]), **names}


def _two(battle: Battle, sides: Sequence[Side], turns: Sequence[list[Turn]]) -> dict[str, Any]:
    """`winner` of a vote that counts; of another one what was said is `vote_not_counted`."""
    vote = _vote(battle)
    said = {}
    if vote is not None:
        said = {"winner" if vote.counts else "vote_not_counted": WINNERS[Verdict(vote.verdict)]}
    talks = {
        f"conversation_{letter}": [*system_of(_prompt(side)), *_said(one)]
        for letter, side, one in zip("ab", sides, turns, strict=True)
    }
    return {"id": record_id(battle.public_id), **_about(battle, sides, turns), **said, **talks}


def _pair(battle: Battle, sides: Sequence[Side], turns: Sequence[list[Turn]]) -> dict[str, Any] | Why:
    """The whole conversation of each: what they have in common is the prompt. Instructions of contestants that differ
    were seen by nobody who judged, so they are in fields of their own."""
    vote = _vote(battle)
    if vote is None:
        return Why.NO_VOTE
    if not vote.counts:
        return Why.NOT_COUNTED
    if vote.verdict not in (Verdict.A, Verdict.B):
        return Why.TIE
    better, worse = (0, 1) if vote.verdict == Verdict.A else (1, 0)
    prompts = [_prompt(sides[better]), _prompt(sides[worse])]
    if prompts[0] == prompts[1]:
        system = {"system": prompts[0]} if prompts[0] else {}
    else:
        system = {f"system_{which}": prompt for which, prompt in zip(("chosen", "rejected"), prompts, strict=True)}
    return {
        "id": record_id(battle.public_id),
        "model": sides[better].contestant.name,
        "model_rejected": sides[worse].contestant.name,
        "vote": WINNERS[Verdict(vote.verdict)],
        **_about(battle, sides, turns),
        **system,
        "chosen": _said(turns[better]),
        "rejected": _said(turns[worse]),
    }


def _prompt(side: Side) -> str:
    conversation: Conversation | None = side.conversation
    return "" if conversation is None else conversation.system_prompt.strip()


def _said(turns: list[Turn]) -> list[dict[str, Any]]:
    said = []
    for question, answer in turns:
        said.append({"role": str(Role.USER), "content": question.content})
        said.append({"role": str(Role.ASSISTANT), "content": spoken(answer.content)})
    return said
