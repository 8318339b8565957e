"""Jobs of the leaderboard, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

from celery import shared_task

from apps.arena.models import Arena
from apps.leaderboard.refresh import board_refresh

SWEEP_S = 600


@shared_task(name="leaderboard.board_refresh_task")
def board_refresh_task(arena_pk: int) -> None:
    """Keep one board up to date."""
    board_refresh(Arena.objects.get(pk=arena_pk))


@shared_task(name="leaderboard.boards_refresh_task")
def boards_refresh_task() -> int:
    """Look after the boards of all arenas, each by itself; runs every `SWEEP_S`."""
    arenas = list(Arena.objects.values_list("pk", flat=True))
    for arena_pk in arenas:
        board_refresh_task.apply_async((arena_pk,), expires=SWEEP_S)
    return len(arenas)
