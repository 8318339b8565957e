"""Jobs of accounts, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

from celery import shared_task

from apps.accounts import counters, ledger


@shared_task(name="accounts.ledger_tidy_task")
def ledger_tidy_task() -> int:
    """Settle calls that were lost, and drop counters of windows long past; runs every minute."""
    counters.counters_forget()
    return ledger.reservations_expire()
