"""What there is of somebody, and which requests to be erased are to be worked on."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.accounts.models import ApiKey, User
from apps.arena.selectors import battles_owned
from apps.conversations.models import Preset, Purpose, Share
from apps.conversations.selectors.images import images_owned
from apps.conversations.services.erasure import conversations_of
from apps.core.errors import NotFound
from apps.datasets.services.erasure import sources_of_person
from apps.moderation.selectors import openings_list
from apps.openai_api.models import ApiFile, Batch, StoredResponse
from apps.privacy.models import ErasureRequest, ErasureState


def found_of(actor: Actor) -> dict[str, int]:
    """Numbers of what is kept of somebody, by kind; kinds of which there is nothing are left out."""
    chats = conversations_of(actor).filter(purpose=Purpose.CHAT)
    mine = Q(user_id=actor.user_id, user__isnull=False)
    counts = {
        "chats": chats.count(),
        "links to chats": Share.objects.filter(conversation__in=chats, revoked_at=None).count(),
        "presets": Preset.objects.filter(mine).count(),
        "images": images_owned(actor).count(),
        "battles": battles_owned(actor).count(),
        "API keys": ApiKey.objects.filter(mine, revoked_at=None).count(),
        "API files": ApiFile.objects.filter(mine).count(),
        "batches": Batch.objects.filter(mine).count(),
        "responses": StoredResponse.objects.filter(mine).count(),
        "records in datasets": sources_of_person(actor).count(),
        "notes on who read your chats": len(openings_list(actor)),
    }
    return {kind: n for kind, n in counts.items() if n}


def public_id_of(actor: Actor) -> UUID | None:
    """By which a hold names this person; None when there is no such account any more."""
    if actor.user_id is None:
        return actor.visitor_public_id
    return User.objects.filter(pk=actor.user_id).values_list("public_id", flat=True).first()


def held_of(actor: Actor, held: Collection[UUID]) -> list[UUID]:
    """What holds keep of theirs: themselves, chats, sides of battles, battles."""
    person = public_id_of(actor)
    things = [rows.filter(public_id__in=held) for rows in (conversations_of(actor), battles_owned(actor))]
    return [
        *([person] if person is not None and person in held else []),
        *(public_id for rows in things for public_id in rows.values_list("public_id", flat=True)),
    ]


def erasure_get(public_id: UUID) -> ErasureRequest:
    """Raises: NotFound."""
    request = ErasureRequest.objects.filter(public_id=public_id).first()
    if request is None:
        raise NotFound
    return request


def erasures_due() -> list[int]:
    """Those that somebody should work on now and nobody does, the longest due first."""
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    due = ErasureRequest.objects.filter(free, due_at__lte=Now()).exclude(state=ErasureState.DONE)
    return list(due.order_by("due_at").values_list("pk", flat=True))
