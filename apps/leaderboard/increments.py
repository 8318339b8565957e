"""A board of more votes without reading those that are in the board before: what it costs does not grow with them."""

from datetime import timedelta
from io import BytesIO

from django.db import transaction

from apps.arena.models import Arena
from apps.leaderboard.battle_files.columns import TAGS_MAX
from apps.leaderboard.models import Snapshot, VoteTally
from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.tally import Tally, boards_of_tally
from apps.leaderboard.selectors import snapshot_newest
from apps.leaderboard.services import Made, code_version, snapshot_publish
from apps.leaderboard.tallies import arena_hold, is_countable, is_of_today
from apps.leaderboard.traits import traits_write
from apps.leaderboard.votes import votes_merge, votes_read, votes_text_of, votes_unpack

LATE = timedelta(hours=1)
"""So long a vote may take to be stored; one that took longer is in the next board of all votes."""


def snapshot_extend(arena: Arena) -> tuple[Snapshot, bool] | None:
    """The newest board with the votes since, and whether it is new. None: only a board of all votes will do.

    All or nothing: after a refusal no vote is counted. Raises: RatingRefused.
    """
    with transaction.atomic():
        arena_hold(arena)
        newest, counted = snapshot_newest(arena), VoteTally.objects.filter(arena=arena).first()
        base = newest and (newest.base or newest)
        if newest is None or base is None or counted is None or not _goes_on(counted, newest, base):
            return None
        fresh = traits_write(arena, counted, since=base.created_at - LATE)
        text, n_voters = votes_text_of(arena, fresh, n_voters=counted.n_voters)
        if not text:
            return newest, False
        battles, reading = votes_read(BytesIO(text))
        tally = Tally.from_bytes(bytes(counted.content)).plus(Tally.of(battles, reading.categories))
        if len(tally.boards) > TAGS_MAX:
            transaction.set_rollback(True)
            return None
        config = BoardConfig.of(newest.config)
        since = votes_merge(votes_unpack(bytes(newest.votes)), text) if newest.base_id else text
        made = Made.of(boards_of_tally(tally, config), tally.everything)
        counted.content, counted.n_voters = tally.to_bytes(), n_voters
        counted.save(update_fields=["content", "n_voters"])
        return snapshot_publish(arena, since, config, made, base=base), True


def _goes_on(counted: VoteTally, newest: Snapshot, base: Snapshot) -> bool:
    """Whether the newest board has just the votes that are counted, and was made as one of these is made."""
    has_its_votes = counted.base_id == base.pk and is_of_today(base)
    return has_its_votes and is_countable(BoardConfig.of(newest.config)) and newest.code_version == code_version()
