"""What is known of votes between two boards, and how boards are kept up to date."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.arena.models import Arena, Contestant, Vote
from apps.leaderboard.models.boards import Snapshot
from apps.leaderboard.rating.elo import START


class VoteTraits(models.Model):
    """What boards ask about the texts of a vote's battle. It stays when these are erased, and says nothing of them."""

    vote = models.OneToOneField(Vote, on_delete=models.PROTECT, primary_key=True, related_name="traits")
    categories = ArrayField(models.CharField(max_length=30), default=list)
    style_a = ArrayField(models.FloatField(), null=True)
    """Counts in the order of `battle_files.style.FEATURES`; null when the texts were erased before."""
    style_b = ArrayField(models.FloatField(), null=True)
    criteria = ArrayField(models.CharField(max_length=30), null=True)
    """Which of `leaderboard.criteria` the prompts meet, by a judge model; null when none has judged them."""
    judge = models.CharField(max_length=200, blank=True)
    """The name of that model, or of the last that was asked in vain."""

    def __str__(self) -> str:
        return f"Traits of {self.vote_id}"


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


class LiveRating(models.Model):
    """Online Elo of a contestant: moved by each vote, in the order in which they come."""

    contestant = models.OneToOneField(Contestant, on_delete=models.PROTECT, related_name="+")
    rating = models.FloatField(default=START)
    n_votes = models.PositiveIntegerField(default=0, verbose_name="votes")
    created_at = models.DateTimeField(auto_now_add=True)
    """Votes from then on have moved it."""

    def __str__(self) -> str:
        return f"{self.contestant_id}: {self.rating:.1f}"
