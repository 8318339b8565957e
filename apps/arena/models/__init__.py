"""Rows of the arena: `entries` (arenas and contestants), `battles` (battles and their sides), `votes`, `networks`."""

from apps.arena.models.battles import Battle, Follows, Position, Side
from apps.arena.models.entries import Arena, ArenaKind, Contestant, Pairing
from apps.arena.models.networks import NetworkKey
from apps.arena.models.votes import Integrity, Verdict, Vote

__all__ = [
    "Arena",
    "ArenaKind",
    "Battle",
    "Contestant",
    "Follows",
    "Integrity",
    "NetworkKey",
    "Pairing",
    "Position",
    "Side",
    "Verdict",
    "Vote",
]
