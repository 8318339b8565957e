"""Everything that is erased, in its order: each app takes its own rows, a few at a time, and says how many it took."""

from collections.abc import Callable, Collection
from uuid import UUID

from apps.accounts.actors import Actor
from apps.accounts.erasure import counters_erase, ledger_erase
from apps.appeals.services import appeals_erase
from apps.arena.services.erasure import battles_erase
from apps.consents.services import consents_erase
from apps.conversations.services.erasure import conversations_erase, presets_erase
from apps.conversations.services.images import images_erase
from apps.datasets.services.erasure import dataset_rows_erase
from apps.moderation.services.erasure import bans_erase, incidents_erase, openings_erase
from apps.openai_api.services.erasure import batches_erase, files_erase, responses_erase
from apps.workers.services.erasure import requests_erase

Eraser = Callable[[Actor, Collection[UUID]], int]
"""Take some rows of this person that are not held; 0 when there are none left."""

ERASERS: tuple[Eraser, ...] = (
    # Battles first: the verdict on one no longer says whose it is when its texts go.
    battles_erase,
    conversations_erase,
    # Before datasets: it waits for a version that is being stored, so that its rows are found then.
    consents_erase,
    dataset_rows_erase,
    presets_erase,
    images_erase,
    batches_erase,
    files_erase,
    responses_erase,
    incidents_erase,
    openings_erase,
    # Before the bans say no longer whose they are.
    appeals_erase,
    bans_erase,
    requests_erase,
    ledger_erase,
    counters_erase,
)
