"""Which votes are counted already. Whoever gives votes their traits counts them, or makes the tally void."""

from django.db import connection

from apps.arena.models import Arena
from apps.leaderboard.battle_files.columns import TAGS_MAX
from apps.leaderboard.models import Snapshot, VoteTally
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.intervals import Covariance
from apps.leaderboard.rating.tally import Tally


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


def tally_begin(arena: Arena) -> VoteTally:
    """A new one in the place of the old one, before votes are read for it. Within `arena_hold`."""
    VoteTally.objects.filter(arena=arena).delete()
    return VoteTally.objects.create(arena=arena)


def tally_keep(begun: VoteTally, base: Snapshot, tally: Tally, n_voters: int) -> None:
    """Unless it is void by now, since votes have changed, or others read them too. Within `arena_hold`."""
    if len(tally.boards) <= TAGS_MAX:
        VoteTally.objects.filter(pk=begun.pk).update(base=base, content=tally.to_bytes(), n_voters=n_voters)
