"""What was published: boards, their charts, and an index of their ratings by day. No board is ever changed."""

import uuid

from django.db import models

from apps.arena.models import Arena, Contestant
from apps.leaderboard.charts.kinds import TITLES


class Snapshot(models.Model):
    """One board, with all that it was made of: whoever has the row can make it again."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    config = models.JSONField()
    """`BoardConfig.as_dict`. No random number is drawn for a board, so there is no seed."""
    code_version = models.CharField(max_length=64)
    """Hash of the sources that read and rate votes."""
    base = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    """The board to whose votes `votes` are added; null where they are all."""
    votes = models.BinaryField()
    """The votes as sorted lines, compressed; voters are numbers."""
    votes_hash = models.CharField(max_length=64, db_index=True)
    """SHA-256 of those lines, and of the hash of the base before them: see `votes.votes_hash`."""
    n_votes = models.PositiveIntegerField(verbose_name="votes")
    """With those of the base."""
    board = models.JSONField()
    """`Board`, the rows in their order."""
    pairs = models.JSONField()
    """Names of all models, and for each two that met: which, wins of the first, wins of the second, ties."""
    contestants = models.JSONField()
    """{name: {pk, is_public}}: the contestant that had it, and whether everybody might know of it."""
    imports = models.JSONField(default=list)
    """Of which files some of the votes are: `imported_votes.ImportTold`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["arena", "-id"], name="snapshot_arena_newest")]

    def __str__(self) -> str:
        return f"Board {str(self.public_id)[:8]}"


class CategoryBoard(models.Model):
    """One more board of the same votes: of a category, or with style taken out, or both."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="category_boards")
    category = models.CharField(max_length=30)
    is_styled = models.BooleanField()
    """Whether length and Markdown are taken out."""
    board = models.JSONField()
    """As `Snapshot.board`, with the coefficients of style."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "category", "is_styled"], name="category_board_once")
        ]

    def __str__(self) -> str:
        return f"{self.category}{', without style' if self.is_styled else ''}"


class DailyRating(models.Model):
    """What the last board of a day said of a contestant that has a rating."""

    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    """In UTC."""
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    rating = models.FloatField()
    lower = models.FloatField()
    upper = models.FloatField()
    rank = models.PositiveIntegerField()
    n_battles = models.PositiveIntegerField(verbose_name="votes")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contestant", "day"], name="daily_rating_once_a_day")]

    def __str__(self) -> str:
        return f"{self.contestant_id}, {self.day}"


class Chart(models.Model):
    """A chart of a board as those see it who may see the same models. It can be drawn again at any time."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    audience = models.CharField(max_length=64)
    """Hash of what is hidden from those who see it: see `selectors.audience_of`."""
    kind = models.CharField(max_length=20, choices=[(kind.value, title) for kind, title in TITLES.items()])
    digest = models.CharField(max_length=64)
    """Of all that it is made of, and of what drew it."""
    summary = models.CharField(max_length=1000)
    svg = models.TextField()
    table = models.JSONField()
    """For people: `head` and `cells`."""
    data = models.JSONField()
    """For files: `columns` and `rows`."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "audience", "kind"], name="chart_once_for_an_audience"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.snapshot_id}"
