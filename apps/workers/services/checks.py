"""Whether providers are there: each is asked for its list of models now and then, which costs nothing.

What requests learn on their way counts at once; this finds what is broken before somebody asks. It shows on the
provider's page; a provider that is not there at all cools down as well.
"""

import asyncio
import logging

from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.workers import selectors
from apps.workers.breaker import Fault
from apps.workers.errors import ProviderResting, WorkerMismatch, WorkerOverloaded, WorkerRefused
from apps.workers.models import Worker
from apps.workers.providers import calls
from apps.workers.providers.kinds import UNLISTED
from apps.workers.services.assignments import fault_record
from apps.workers.services.providers import provider_checked, provider_count_again, provider_noted
from apps.workers.target import Target
from apps.workers.transport import TransportFailed

AT_ONCE = 8

logger = logging.getLogger(__name__)


def providers_check() -> int:
    """Check all that are in use; return how many are well."""
    workers = list(Worker.objects.alive().exclude(kind="").filter(is_drained=False))
    for worker in workers:
        provider_count_again(worker)
    listing = [worker for worker in workers if tells_models(worker)]
    found = asyncio.run(_asked([selectors.target_of(worker) for worker in listing]))
    problems = [_note(worker, error) for worker, error in zip(listing, found, strict=True)]
    return problems.count("")


def tells_models(worker: Worker) -> bool:
    """Whether it can be checked; of other kinds only a request shows whether they are there."""
    return worker.kind not in UNLISTED


def provider_check(worker: Worker) -> str:
    """What is wrong with one that tells its models, in words; empty if nothing is."""
    [error] = asyncio.run(_asked([selectors.target_of(worker)]))
    return _note(worker, error)


async def _asked(targets: list[Target]) -> list[Exception | None]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(target: Target) -> Exception | None:
        async with room:
            try:
                await calls.models_list(target)
            except Exception as exc:  # one that nobody foresaw must not keep the others from being checked
                return exc
        return None

    try:
        return await asyncio.gather(*map(one, targets))
    finally:
        await http_client().aclose()


def _note(worker: Worker, error: Exception | None) -> str:
    """Keep what a check found, and say it. Nobody rests for it: a key may be good for answers and not for the list."""
    match error:
        case None:
            provider_checked(worker)
            return ""
        case ProviderResting() | WorkerMismatch() | WorkerRefused():
            words = f"it does not tell its models: {error.details['reason']}"
        case WorkerOverloaded():
            return "it is busy"
        case TransportFailed():
            words = str(error)
            fault_record(worker.pk, error.fault or Fault.LOST)
        case SiteError():
            words = str(error.details.get("reason", error.message))
            fault_record(worker.pk, Fault.INTERNAL)
        case _:
            words = f"the check itself failed: {type(error).__name__}"
            logger.error("provider %s could not be checked", worker, exc_info=error)
            provider_noted(worker, words)
            return words
    provider_noted(worker, words)
    logger.warning("provider %s does not answer as it should: %s", worker, words)
    return words
