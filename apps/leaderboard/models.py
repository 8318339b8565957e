"""What was published: boards, an index of their ratings by day, and the log of who was drawn how often.

No board and no line of the log is ever changed or deleted.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from apps.arena.models import Arena, Contestant, Verdict, Vote
from apps.catalog.models import Visibility
from apps.leaderboard.charts.kinds import TITLES
from apps.leaderboard.rating.elo import START


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


class SamplingChange(models.Model):
    """How often a contestant is drawn from some time on. The database writes it with every change, whoever makes it.

    Source: its triggers, in the migration `transparency_log`.
    """

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    weight = models.FloatField()
    boost = models.FloatField()
    is_available = models.BooleanField(verbose_name="available")
    retired_at = models.DateTimeField(null=True)
    visibility = models.CharField(max_length=10, choices=Visibility)
    """Of its model then; everybody's for one that an admin entered. It tells for whom a deleted model is."""
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["arena", "-id"], name="sampling_change_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.changed_at:%Y-%m-%d %H:%M}"


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


class Refresh(models.Model):
    """How the board of an arena is kept up to date: what was tried last, and what came of it."""

    arena = models.OneToOneField(Arena, on_delete=models.PROTECT, related_name="+")
    busy_until = models.DateTimeField(null=True, blank=True)
    """Somebody makes the board; whoever died doing it is taken for gone then."""
    seen_vote = models.BigIntegerField(default=0)
    """Newest vote of which the last try knew."""
    n_changes = models.PositiveBigIntegerField(default=0, editable=False)
    """How often something changed about votes and battles that were there before. The database counts.

    Source: `leaderboard_tally_void`, in the migration `count_changes`.
    """
    seen_changes = models.PositiveBigIntegerField(default=0, editable=False)
    """`n_changes` as it was before the last try began to read."""
    tried_at = models.DateTimeField(null=True, blank=True, verbose_name="last tried")
    refusal_code = models.CharField(max_length=60, blank=True)
    refusal = models.CharField(max_length=1000, blank=True, verbose_name="why the old board stays")

    class Meta:
        verbose_name_plural = "refreshes"

    def __str__(self) -> str:
        return f"Board of {self.arena}"


class VoteTally(models.Model):
    """An arena's votes, counted: a board of newer ones need not read them again.

    It has every vote that has traits and counts. The database deletes it when one of these votes changes, whoever
    changes it: then a board of all votes is made. Source: its triggers, in the migration `vote_tally`.
    """

    arena = models.OneToOneField(Arena, on_delete=models.PROTECT, related_name="+")
    base = models.ForeignKey(Snapshot, null=True, on_delete=models.PROTECT, related_name="+")
    """The newest board of all votes; null while it is being made."""
    content = models.BinaryField(default=b"")
    """`rating.tally.Tally`."""
    n_voters = models.PositiveIntegerField(default=0, verbose_name="voters")
    """How many numbers of voters were given."""

    def __str__(self) -> str:
        return f"Tally of {self.arena_id}"


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


class VoteTraits(models.Model):
    """What boards ask about the texts of a vote's battle. It stays when these are erased, and says nothing of them."""

    vote = models.OneToOneField(Vote, on_delete=models.PROTECT, primary_key=True, related_name="traits")
    categories = ArrayField(models.CharField(max_length=30), default=list)
    style_a = ArrayField(models.FloatField(), null=True)
    """Counts in the order of `battle_files.style.FEATURES`; null when the texts were erased before."""
    style_b = ArrayField(models.FloatField(), null=True)

    def __str__(self) -> str:
        return f"Traits of {self.vote_id}"


class LiveRating(models.Model):
    """Online Elo of a contestant: moved by each vote, in the order in which they come."""

    contestant = models.OneToOneField(Contestant, on_delete=models.PROTECT, related_name="+")
    rating = models.FloatField(default=START)
    n_votes = models.PositiveIntegerField(default=0, verbose_name="votes")
    created_at = models.DateTimeField(auto_now_add=True)
    """Votes from then on have moved it."""

    def __str__(self) -> str:
        return f"{self.contestant_id}: {self.rating:.1f}"


class ImportedFile(models.Model):
    """A file of battles of another site that a board counts in, and what became of its rows."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=255)
    """Without its folders."""
    sha256 = models.CharField(max_length=64, verbose_name="SHA-256")
    n_rows = models.PositiveIntegerField(verbose_name="rows")
    n_battles = models.PositiveIntegerField(verbose_name="battles")
    """That came with it; those that another file had brought before are not among them."""
    dropped = models.JSONField(verbose_name="left out")
    """{reason: count} of the other rows."""
    imported_at = models.DateTimeField(null=True)
    """When it last brought battles."""
    withdrawn_at = models.DateTimeField(null=True)
    """Then they were taken out again; boards that were made with them keep them."""

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["arena", "sha256"], name="imported_file_once_an_arena")]

    def __str__(self) -> str:
        return self.name


class ImportedBattle(models.Model):
    """A battle of such a file, without its texts and without its voter."""

    file = models.ForeignKey(ImportedFile, on_delete=models.PROTECT, related_name="battles")
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=64)
    """By which the same battle of another file, or of the same one, is known."""
    line = models.PositiveIntegerField()
    """Where its row begins."""
    model_a = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    model_b = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict)
    weight = models.FloatField()
    voter = models.CharField(max_length=32, blank=True)
    """A keyed digest of what the file calls them; blank when it does not say."""
    prompt = models.BigIntegerField()
    """`battle_files.frequency.prompt_number`."""
    prompt_share = models.FloatField(null=True)
    """What the file itself says of that."""
    categories = ArrayField(models.CharField(max_length=30), default=list)
    style_a = ArrayField(models.FloatField(), null=True)
    style_b = ArrayField(models.FloatField(), null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["arena", "key"], name="imported_battle_once_an_arena")]

    def __str__(self) -> str:
        return f"{self.file_id}, line {self.line}"
