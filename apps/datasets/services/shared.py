"""Who works on which chunk of a shared run: rows with a lease, taken and kept by conditional updates."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from apps.datasets.models import ChunkState, SharedChunk

LEASE_S = 10
RESEND_S = 30
"""After so long a message about a chunk that nobody took up may be lost. Two messages about one do no harm."""
TRIES_MAX = 3
"""A chunk that ended so many workers would end every other one."""


def chunk_add(folder: str, path: str) -> int:
    return SharedChunk.objects.create(folder=folder, path=path, sent_at=Now()).pk


def chunk_claim(pk: int, runner: UUID, worker: str) -> SharedChunk | None:
    """None: it is done, or somebody else works on it."""
    lost = Q(state=ChunkState.RUNNING, lease_expires_at__lt=Now(), n_tries__lt=TRIES_MAX)
    claimed = SharedChunk.objects.filter(Q(state=ChunkState.WAITING) | lost, pk=pk).update(
        state=ChunkState.RUNNING,
        runner=runner,
        worker=worker[:200],
        n_tries=F("n_tries") + 1,
        lease_expires_at=_lease_end(),
    )
    return SharedChunk.objects.get(pk=pk) if claimed else None


def chunk_keep(pk: int, runner: UUID) -> bool:
    """Renew the lease; False: it is another one's, or the run has ended."""
    mine = SharedChunk.objects.filter(pk=pk, runner=runner, state=ChunkState.RUNNING)
    return bool(mine.update(lease_expires_at=_lease_end()))


@contextmanager
def chunk_ending(pk: int, runner: UUID) -> Iterator[bool]:
    """Put its result in place meanwhile, if it is True; then the chunk is done.

    Nobody takes or forgets the chunk meanwhile, so that nothing comes late into the folder of another run.
    """
    mine = SharedChunk.objects.filter(pk=pk, runner=runner, state=ChunkState.RUNNING)
    with transaction.atomic():
        is_mine = mine.select_for_update().exists()
        yield is_mine
        mine.update(state=ChunkState.DONE, lease_expires_at=None)


def chunk_fail(pk: int, runner: UUID, error: dict[str, Any]) -> None:
    mine = SharedChunk.objects.filter(pk=pk, runner=runner, state=ChunkState.RUNNING)
    mine.update(state=ChunkState.FAILED, error=error, lease_expires_at=None)


def chunks_lost(folder: str) -> list[int]:
    """Those to be sent again: whose worker died, or whose message did. Each is named once in a while."""
    is_long_ago = Q(sent_at__lt=Now() - timedelta(seconds=RESEND_S))
    died = Q(state=ChunkState.RUNNING, lease_expires_at__lt=Now()) & (
        Q(sent_at__lt=F("lease_expires_at")) | is_long_ago
    )
    unheard = Q(state=ChunkState.WAITING) & is_long_ago
    lost = []
    for pk in SharedChunk.objects.filter(died | unheard, folder=folder).values_list("pk", flat=True):
        lost += [pk] * SharedChunk.objects.filter(died | unheard, pk=pk).update(sent_at=Now())
    return lost


def chunk_given_up(folder: str) -> SharedChunk | None:
    """One that ended as many workers as may try it."""
    died = Q(state=ChunkState.RUNNING, lease_expires_at__lt=Now(), n_tries__gte=TRIES_MAX)
    return SharedChunk.objects.filter(died, folder=folder).first()


def chunk_failed(folder: str) -> SharedChunk | None:
    return SharedChunk.objects.filter(folder=folder, state=ChunkState.FAILED).first()


def chunks_forget(folder: str) -> None:
    """Whoever still works on one finds that it is not theirs any more."""
    SharedChunk.objects.filter(folder=folder).delete()


def _lease_end() -> Any:
    return ExpressionWrapper(Now() + timedelta(seconds=LEASE_S), output_field=DateTimeField())
