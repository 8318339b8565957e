"""Jobs of data cleaning, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

from celery import shared_task

from apps.datasets.shared.runner import chunk_run


@shared_task(name="datasets.chunk_run_task")
def chunk_run_task(pk: int) -> None:
    """Work on a chunk of a shared run, as far as nobody else does."""
    chunk_run(pk)
