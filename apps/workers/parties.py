"""Between whom the queue is fair, and how many requests each may have waiting."""

from django.conf import settings

from apps.accounts.actors import Actor


def party_of(actor: Actor) -> str:
    """One name for all that a person does, in the browser and by keys; a key without a person stands for itself."""
    if actor.user_id is not None:
        return f"user:{actor.user_id}"
    if actor.api_key_id is not None:
        return f"key:{actor.api_key_id}"
    if actor.is_installation:
        return "installation"
    return f"visitor:{actor.visitor_public_id}" if actor.visitor_public_id is not None else "unknown"


def waiting_limit(actor: Actor) -> int:
    """How many requests to one model may wait, by role."""
    if actor.is_installation:
        limit: int = settings.QUEUE_MAX  # whoever measures the pool may fill it
    elif actor.api_key_id is not None:
        limit = settings.QUEUE_MAX_PER_KEY
    elif actor.user_id is not None:
        limit = settings.QUEUE_MAX_PER_USER
    else:
        limit = settings.QUEUE_MAX_PER_VISITOR
    return limit
