"""The votes of an arena as text that anybody may have: names of models, verdict, weight, and a number for the voter."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.arena.models import Arena, Integrity, Position, Side, Verdict, Vote
from apps.leaderboard.battle_files.reading import battles_from
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.rating.battles import Battles

_WINNERS = {
    Verdict.A: "model_a",
    Verdict.B: "model_b",
    Verdict.TIE: "tie",
    Verdict.BOTH_BAD: "tie (bothbad)",
}
_AT_ONCE = 5_000


class _Blind(NamedTuple):
    model_a: str
    model_b: str
    winner: str
    weight: float
    voter: tuple[str, int] | None
    """None for somebody who was erased."""


def votes_text(arena: Arena) -> bytes:
    """Each vote that counts and was blind, as a row of a clean-battle file, sorted: one text for the same votes."""
    votes = list(_blind(arena))
    voters = sorted({vote.voter for vote in votes if vote.voter})
    number = {voter: f"voter-{n}" for n, voter in enumerate(voters, start=1)}
    return "".join(f"{line}\n" for line in sorted(_line(vote, number) for vote in votes)).encode()


def votes_pack(text: bytes) -> bytes:
    """Compressed, without a time."""
    return gzip.compress(text, mtime=0)


def votes_unpack(packed: bytes) -> bytes:
    return gzip.decompress(packed)


def votes_hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def votes_read(text: bytes) -> Battles:
    """As `leaderboard build FILE` reads them. Raises: RatingRefused."""
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8")
    battles, _ = battles_from(lines, Cleaning(), is_strict=True)
    return battles


def _line(vote: _Blind, number: dict[tuple[str, int], str]) -> str:
    row: dict[str, str | float] = {
        "model_a": vote.model_a,
        "model_b": vote.model_b,
        "winner": vote.winner,
        "weight": vote.weight,
    }
    if vote.voter:
        row["judge"] = number[vote.voter]
    return json.dumps(row, ensure_ascii=False)


def _blind(arena: Arena) -> Iterator[_Blind]:
    for vote in _counted(arena).iterator(chunk_size=_AT_ONCE):
        battle = vote.battle
        voter = None
        if battle.user_id is not None:
            voter = ("user", battle.user_id)
        elif battle.visitor_id is not None:
            voter = ("visitor", battle.visitor_id)
        yield _Blind(vote.name_a, vote.name_b, _WINNERS[Verdict(vote.verdict)], vote.effective_weight, voter)  # type: ignore[attr-defined]  # annotated


def _counted(arena: Arena) -> QuerySet[Vote]:
    counts = Q(overruled=Integrity.COUNTED) | Q(overruled="", integrity=Integrity.COUNTED)
    return (
        Vote.objects.filter(counts, battle__arena=arena, battle__is_anonymous=True)
        .select_related("battle")
        .annotate(name_a=_name(Position.A), name_b=_name(Position.B))
    )


def _name(position: Position) -> Subquery:
    sides = Side.objects.filter(battle=OuterRef("battle"), position=position)
    return Subquery(sides.values("contestant__name")[:1])
