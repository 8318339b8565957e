"""What admins do to a worker. It takes effect with the next request; nothing is restarted."""

from django.utils import timezone

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
