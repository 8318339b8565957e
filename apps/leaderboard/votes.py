"""The votes of an arena as text that anybody may have: names of models, verdict, traits, a number for the voter."""

import gzip
import hashlib
import heapq
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from apps.arena.models import Arena, Position, Side, Vote
from apps.leaderboard.battle_files.frequency import UNKNOWN, shares, text_number
from apps.leaderboard.battle_files.reading import Reading, battles_from
from apps.leaderboard.battle_files.rules import Cleaning
from apps.leaderboard.imported_votes import prompts_imported, votes_imported
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.battles import Battles, IntArray
from apps.leaderboard.tallies import arena_hold
from apps.leaderboard.vote_lines import Cast, line_of

_AT_ONCE = 500
_VOTERS = ("user", "visitor", "api_key")
"""A program is its key: nobody knows for how many people it speaks, so it speaks for one."""
_CAST = (
    "pk", *(f"battle__{kind}_id" for kind in _VOTERS),
    "name_a", "name_b", "verdict", "weight_counted", "traits__categories", "traits__style_a", "traits__style_b",
)  # fmt: skip

Voter = tuple[str, int | str]
"""Of which kind, and which."""
Said = tuple[Voter | None, str]
"""A line, and whose it is."""


def votes_text(arena: Arena) -> bytes:
    """Each vote that counts and was blind, and each imported battle, as a row of a clean-battle file, sorted.

    The same votes give one text. Those that came since `traits_write` wait for the next text. Voters are numbered by
    what they said, so that no number tells who came to the site before whom.
    """
    keys, prompts = _prompts(arena)
    with transaction.atomic():
        arena_hold(arena)  # so that nothing is imported or withdrawn meanwhile
        own, elsewhere = np.split(shares(np.concatenate([prompts, prompts_imported(arena)])), [len(prompts)])
        imported = [
            (("imported", voter) if voter else None, line_of(cast)) for voter, cast in votes_imported(arena, elsewhere)
        ]
    frequent = dict(zip(keys[own < 1].tolist(), own[own < 1].tolist(), strict=True))
    return _text(chain(_said(_blind(arena), frequent), imported))[0]


def votes_text_of(arena: Arena, votes: Sequence[int], *, n_voters: int) -> tuple[bytes, int]:
    """The same of some votes alone, with other numbers than the first `n_voters`; and how many there are with these.

    Nothing is known there of how frequent a prompt is, nor of what a voter has said before.
    """
    return _text(_said(_blind(arena).filter(pk__in=votes), {}), n_voters)


def _said(votes: QuerySet[Vote], frequent: Mapping[int, float]) -> Iterator[Said]:
    """`frequent`: shares of votes whose prompts are, by key."""
    rows = votes.values_list(*_CAST).iterator(_AT_ONCE)
    for pk, user, visitor, api_key, a, b, verdict, weight, tags, *styles in rows:
        yield _voter(user, visitor, api_key), line_of(Cast(a, b, verdict, weight, tags, frequent.get(pk, 1.0), *styles))


def _text(said: Iterable[Said], n_voters: int = 0) -> tuple[bytes, int]:
    of_voters: dict[Voter | None, list[str]] = {}
    for voter, line in said:
        of_voters.setdefault(voter, []).append(line)
    lines = of_voters.pop(None, [])
    groups = sorted(sorted(of) for of in of_voters.values())
    n_voters += len(groups)
    of_voters.clear()
    for number in range(n_voters, n_voters - len(groups), -1):  # from the last one on, so that no line is held twice
        of = groups.pop()
        while of:
            lines.append(f'{of.pop()[:-1]}, "judge": "voter-{number}"}}')
    lines.sort(reverse=True)
    text = io.BytesIO()
    while lines:
        text.write(f"{lines.pop()}\n".encode())
    return text.getvalue(), n_voters


def votes_merge(one: bytes, other: bytes) -> bytes:
    """Two such texts as one."""
    return b"".join(sorted(one.splitlines(keepends=True) + other.splitlines(keepends=True)))


def votes_pack(text: bytes) -> bytes:
    """Compressed, without a time."""
    return gzip.compress(text, mtime=0)


def votes_unpack(packed: bytes) -> bytes:
    return gzip.decompress(packed)


def votes_lines(snapshot: Snapshot) -> Iterator[bytes]:
    """All of its votes, sorted. Memory holds them compressed, however many are read."""
    own = _unpacked(bytes(snapshot.votes))
    return heapq.merge(_unpacked(bytes(snapshot.base.votes)), own) if snapshot.base else own


def _unpacked(packed: bytes) -> Iterator[bytes]:
    with gzip.open(io.BytesIO(packed)) as lines:
        yield from lines


def votes_hash(text: bytes, base: Snapshot | None = None) -> str:
    """SHA-256. Of votes that were added to a board's, with a line before them that is the hash of that one's."""
    return hashlib.sha256(f"{base.votes_hash}\n".encode() + text if base else text).hexdigest()


def votes_read(lines: Iterable[bytes], *, deduplicates: bool = False) -> tuple[Battles, Reading]:
    """As `leaderboard build FILE` reads them. Raises: RatingRefused."""
    cleaning = Cleaning(has_style=True, has_categories=True, deduplicates=deduplicates)
    return battles_from(_Lines(lines), cleaning, is_strict=True)


class _Lines:
    """Read as a file is."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)

    def read(self, n_chars: int, /) -> str:
        """Whole lines, of at least so many bytes while there are as many."""
        taken: list[bytes] = []
        n_bytes = 0
        while n_bytes < n_chars and (line := next(self._lines, b"")):
            taken.append(line)
            n_bytes += len(line)
        return b"".join(taken).decode()


def _prompts(arena: Arena) -> tuple[IntArray, IntArray]:
    """Keys of votes, and numbers of their prompts."""
    found = _blind(arena).values_list("pk", "battle__prompt_digest").iterator(_AT_ONCE)
    numbers = ((pk, text_number(digest) if digest else UNKNOWN) for pk, digest in found)
    both: IntArray = np.fromiter(numbers, dtype=np.dtype((np.int64, 2)))
    return both[:, 0], both[:, 1]


def _blind(arena: Arena) -> QuerySet[Vote]:
    votes = Vote.objects.rated(arena).weighed().filter(traits__isnull=False).order_by()
    return votes.annotate(name_a=_name(Position.A), name_b=_name(Position.B))


def _voter(*keys: int | None) -> Voter | None:
    """None for the erased."""
    return next(((kind, key) for kind, key in zip(_VOTERS, keys, strict=True) if key is not None), None)


def _name(position: Position) -> Subquery:
    sides = Side.objects.filter(battle=OuterRef("battle"), position=position)
    return Subquery(sides.values("contestant__name")[:1])
