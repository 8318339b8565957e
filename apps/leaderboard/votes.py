"""The votes of an arena as text that anybody may have: names of models, verdict, weight, and a number for the voter."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery

from apps.arena.models import Arena, Battle, Position, Side, Verdict, Vote
from apps.leaderboard.battle_files.reading import Reading, battles_from
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.rating.battles import Battles

_WINNERS = {
    Verdict.A: "model_a",
    Verdict.B: "model_b",
    Verdict.TIE: "tie",
    Verdict.BOTH_BAD: "tie (bothbad)",
}
_AT_ONCE = 5_000


Voter = tuple[str, int]
"""Of which kind, and which."""


class _Blind(NamedTuple):
    model_a: str
    model_b: str
    winner: str
    weight: float
    voter: Voter | None
    """None for somebody who was erased."""


def votes_text(arena: Arena) -> bytes:
    """Each vote that counts and was blind, as a row of a clean-battle file, sorted: one text for the same votes.

    Voters are numbered by what they said, so that no number tells who came to the site before whom.
    """
    said: dict[Voter | None, list[str]] = {}
    for vote in _blind(arena):
        said.setdefault(vote.voter, []).append(_line(vote))
    lines = said.pop(None, [])
    for number, of_voter in enumerate(sorted(sorted(of_voter) for of_voter in said.values()), start=1):
        lines += [f'{line[:-1]}, "judge": "voter-{number}"}}' for line in of_voter]
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def votes_pack(text: bytes) -> bytes:
    """Compressed, without a time."""
    return gzip.compress(text, mtime=0)


def votes_unpack(packed: bytes) -> bytes:
    return gzip.decompress(packed)


def votes_hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def votes_read(text: bytes) -> tuple[Battles, Reading]:
    """As `leaderboard build FILE` reads them. Raises: RatingRefused."""
    return battles_from(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"), Cleaning(), is_strict=True)


def _line(vote: _Blind) -> str:
    row = {"model_a": vote.model_a, "model_b": vote.model_b, "winner": vote.winner, "weight": vote.weight}
    return json.dumps(row, ensure_ascii=False)


def _blind(arena: Arena) -> Iterator[_Blind]:
    for vote in _counted(arena).iterator(chunk_size=_AT_ONCE):
        winner = _WINNERS[Verdict(vote.verdict)]
        yield _Blind(vote.name_a, vote.name_b, winner, vote.effective_weight, _voter(vote.battle))  # type: ignore[attr-defined]  # annotated


def _voter(battle: Battle) -> Voter | None:
    """A program is its key: nobody knows for how many people it speaks, so it speaks for one."""
    for kind in ("user", "visitor", "api_key"):
        if (pk := getattr(battle, f"{kind}_id")) is not None:
            return kind, pk
    return None


def _counted(arena: Arena) -> QuerySet[Vote]:
    votes: QuerySet[Vote] = Vote.objects.rated(arena).select_related("battle")
    return votes.annotate(name_a=_name(Position.A), name_b=_name(Position.B))


def _name(position: Position) -> Subquery:
    sides = Side.objects.filter(battle=OuterRef("battle"), position=position)
    return Subquery(sides.values("contestant__name")[:1])
