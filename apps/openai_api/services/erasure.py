"""What programs left at the API for somebody, deleted a bounded number of rows at a time. Again does no harm."""

from collections.abc import Collection
from uuid import UUID

from apps.accounts.actors import Actor
from apps.openai_api.models import ApiFile, Batch, OwnedModel, StoredResponse

ERASED_AT_ONCE = 20
"""Files may have hundreds of megabytes, batches tens of thousands of lines."""


def batches_erase(actor: Actor, held: Collection[UUID]) -> int:
    """With what was answered. Whoever works on one finds it gone."""
    return _erase(Batch, actor, held)


def files_erase(actor: Actor, held: Collection[UUID]) -> int:
    return _erase(ApiFile, actor, held)


def responses_erase(actor: Actor, held: Collection[UUID]) -> int:
    return _erase(StoredResponse, actor, held)


def _erase(model: type[OwnedModel], actor: Actor, held: Collection[UUID]) -> int:
    if actor.user_id is None:
        return 0  # without an account there are no keys
    rows = model._default_manager.filter(user_id=actor.user_id).exclude(user__public_id__in=held)
    pks = list(rows.order_by("pk").values_list("pk", flat=True)[:ERASED_AT_ONCE])
    model._default_manager.filter(pk__in=pks).delete()
    return len(pks)
