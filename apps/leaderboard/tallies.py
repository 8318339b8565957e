"""Which votes are counted already. Whoever gives votes their traits counts them, or makes the tally void."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from apps.arena.models import Arena
from apps.leaderboard.battle_files.columns import TAGS_MAX
from apps.leaderboard.models import Snapshot, VoteTally
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.tally import Tally

IN_FULL_AFTER = timedelta(days=1)
"""Then a board is made of all votes, with style taken out too, and without those who were erased as voters."""


def arena_hold(arena: Arena) -> None:
    """Until the transaction ends: who publishes, counts or changes votes comes one after the other."""
    Arena.objects.select_for_update(no_key=True).get(pk=arena.pk)


def votes_changed(arena: Arena) -> None:
    """The next board is made of all votes, soon. The database says so itself when somebody changes a vote."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaderboard_tally_void(%s)", [arena.pk])


def is_countable(config: BoardConfig) -> bool:
    """Whether counted votes are enough. Clusters need the votes of each voter, and shares those of each prompt."""
    return config.covariance is not Covariance.CLUSTERED and not config.deduplicates


def is_of_today(base: Snapshot) -> bool:
    """Whether newer votes may be added to it."""
    return base.created_at > timezone.now() - IN_FULL_AFTER


def tally_begin(arena: Arena) -> tuple[VoteTally, VoteTally | None]:
    """A new one before votes are read for it, and the old one, in whose place it is. Within `arena_hold`."""
    old = VoteTally.objects.filter(arena=arena).select_related("base").first()
    if old is not None:
        VoteTally.objects.filter(pk=old.pk).delete()
    return VoteTally.objects.create(arena=arena), old


def tally_resume(begun: VoteTally, old: VoteTally, newest: Snapshot) -> None:
    """The old one's counts again, since the votes are those of the newest board; unless they have changed by now."""
    if old.base_id == newest.pk and is_of_today(newest):
        counts = {"base": newest, "content": old.content, "n_voters": old.n_voters}
        VoteTally.objects.filter(pk=begun.pk).update(**counts)


def tally_keep(begun: VoteTally, base: Snapshot, tally: Tally, n_voters: int) -> None:
    """Unless it is void by now, since votes have changed, or others read them too. Within `arena_hold`."""
    if len(tally.boards) <= TAGS_MAX:
        VoteTally.objects.filter(pk=begun.pk).update(base=base, content=tally.to_bytes(), n_voters=n_voters)
