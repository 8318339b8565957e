"""What migrations do with the rows that are there."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.arena.models import Arena, Contestant, Verdict
from apps.leaderboard.models import ImportedBattle, ImportedFile

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
