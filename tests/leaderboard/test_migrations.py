"""What migrations do with the rows that are there."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.arena.models import Arena, Contestant, Verdict, Vote
from apps.leaderboard.models import ImportedBattle, ImportedFile
from apps.leaderboard.refresh import board_refresh
from tests.leaderboard.support import vote

Migrate = Callable[[str], None]


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Migrate]:
    """Back to some migration of the leaderboard; its tables are brought up to date afterwards."""
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()

    def to(name: str) -> None:
        MigrationExecutor(connection).migrate([("leaderboard", name)])

    yield to
    MigrationExecutor(connection).migrate(latest)


def test_contestants_of_earlier_imports_await_their_models(migrate: Migrate) -> None:
    arena = Arena.objects.get()
    names = ("of files", "switched off", "an admin's")
    one, other, third = (Contestant.objects.create(arena=arena, name=name, is_available=False) for name in names)
    file = ImportedFile.objects.create(arena=arena, name="a", sha256="0" * 64, n_rows=1, n_battles=1, dropped={})
    ImportedBattle.objects.create(
        file=file, arena=arena, key="k", line=1, model_a=one, model_b=other, verdict=Verdict.A, weight=1, prompt=0,
        categories=[],
    )  # fmt: skip
    for is_available in (True, False):
        other.is_available = is_available
        other.save()
    migrate("0012_judged_prompts")
    migrate("0013_imported_contestants_await")
    assert list(Contestant.objects.filter(awaits_model=True)) == [one]
    assert not Contestant.objects.get(pk=third.pk).is_available


def test_a_change_before_changes_were_counted_is_not_overlooked(migrate: Migrate) -> None:
    arena = Arena.objects.get()
    one, other = (Contestant.objects.create(arena=arena, name=name) for name in ("one", "other"))
    votes = [vote(one, other, verdict) for verdict in [Verdict.A, Verdict.B] * 10]
    board_refresh(arena)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE arena_vote DISABLE TRIGGER vote_change_voids_tally")
        Vote.objects.filter(pk=votes[0].pk).update(verdict=Verdict.B)
        cursor.execute("ALTER TABLE arena_vote ENABLE TRIGGER vote_change_voids_tally")
    outcome = board_refresh(arena)
    assert outcome and outcome.snapshot is None
    migrate("0013_imported_contestants_await")
    migrate("0014_look_at_what_changed_before")
    outcome = board_refresh(arena)
    assert outcome and outcome.snapshot
