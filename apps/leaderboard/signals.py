"""What the leaderboard does when something happens in the arena."""

from django.db.models.signals import post_save
from django.dispatch import receiver

from apps.arena.models import Vote
from apps.leaderboard.live import vote_follow


@receiver(post_save, sender=Vote, dispatch_uid="leaderboard.vote_follow")
def follow_votes(instance: Vote, created: bool, raw: bool, **_: object) -> None:
    """A vote that was just cast. Later decisions about it are for boards."""
    if created and not raw:
        vote_follow(instance)
