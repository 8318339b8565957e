"""Rows of the leaderboard: published `boards`, `votes` between two of them, `imports`, and the `log`."""

from apps.leaderboard.models.boards import CategoryBoard, Chart, DailyRating, Snapshot
from apps.leaderboard.models.imports import ImportedBattle, ImportedFile
from apps.leaderboard.models.log import SamplingChange
from apps.leaderboard.models.votes import LiveRating, Refresh, VoteTally, VoteTraits

__all__ = [
    "CategoryBoard",
    "Chart",
    "DailyRating",
    "ImportedBattle",
    "ImportedFile",
    "LiveRating",
    "Refresh",
    "SamplingChange",
    "Snapshot",
    "VoteTally",
    "VoteTraits",
]
