"""What admins do to a worker. It takes effect with the next request; nothing is restarted."""

from django.db import transaction
from django.utils import timezone

from apps.core.sealing import reseal
from apps.workers.models import Worker


def worker_drain(worker: Worker, *, is_drained: bool) -> None:
    """Take a worker out of dispatch or put it back. It goes on with what it has."""
    Worker.objects.filter(pk=worker.pk).update(is_drained=is_drained)


def worker_remove(worker: Worker) -> None:
    """Send nothing to this worker any more and refuse its lease, until it is restored."""
    Worker.objects.filter(pk=worker.pk).update(removed_at=timezone.now())


def worker_restore(worker: Worker) -> None:
    """Let a removed worker renew its lease again."""
    Worker.objects.filter(pk=worker.pk).update(removed_at=None)


@transaction.atomic
def tokens_reseal() -> int:
    """Encrypt every stored token with the first of ENCRYPTION_KEYS; return how many. Raises: SecretUnreadable.

    All or none: after it, the other keys may be dropped.
    """
    workers = Worker.objects.select_for_update().exclude(sealed_token="").order_by("pk")
    for worker in workers:
        worker.sealed_token = reseal(worker.sealed_token)
        worker.save(update_fields=["sealed_token"])
    return len(workers)
