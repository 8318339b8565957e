"""Conversations by owner, and the path through one that is shown."""

from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.conversations.errors import ChatNotFound
from apps.conversations.models import Conversation, Generation, Message, Purpose
from apps.conversations.outcomes import Failure


def conversations_owned(actor: Actor) -> QuerySet[Conversation]:
    """The actor's own chats; none for somebody unknown."""
    chats = Conversation.objects.filter(purpose=Purpose.CHAT)
    if actor.user_id is not None:
        return chats.filter(user_id=actor.user_id)
    if actor.visitor_public_id is not None:
        return chats.filter(visitor__public_id=actor.visitor_public_id)
    return Conversation.objects.none()


def conversation_get(actor: Actor, conversation_id: UUID) -> Conversation:
    """Raises: ChatNotFound, also when it is somebody else's."""
    conversation = conversations_owned(actor).filter(public_id=conversation_id).first()
    if conversation is None:
        raise ChatNotFound
    return conversation


def generation_get_owned(actor: Actor, generation_id: UUID) -> Generation:
    """Raises: ChatNotFound, also when it is somebody else's."""
    owned = Generation.objects.filter(public_id=generation_id, conversation__in=conversations_owned(actor))
    generation = owned.first()
    if generation is None:
        raise ChatNotFound
    return generation


def path_list(conversation: Conversation) -> list[Message]:
    """The shown path from the first message to the active leaf, in two queries however long it is."""
    parents = dict(Message.objects.filter(conversation=conversation).values_list("pk", "parent_id"))
    wanted: list[int] = []
    pk = conversation.active_leaf_id
    while pk is not None:
        wanted.append(pk)
        pk = parents.get(pk)
    # A parent is always older than its child, so ids order the path.
    return list(Message.objects.filter(pk__in=wanted).select_related("model", "generation").order_by("pk"))


def failure_of(generation: Generation) -> Failure | None:
    """The stored error of a generation that failed."""
    if not generation.error_code:
        return None
    return Failure(generation.error_code, generation.error_message, generation.is_error_retryable)
