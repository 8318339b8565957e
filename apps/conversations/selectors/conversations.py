"""Conversations by owner, and the path through one that is shown."""

from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.conversations.errors import ChatNotFound
from apps.conversations.hints import Hint
from apps.conversations.models import Conversation, Generation, Message, Purpose
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.tree import tree_get


def conversations_owned(actor: Actor) -> QuerySet[Conversation]:
    """The actor's own chats; none for somebody unknown. A program finds those that were begun with its key, and no
    others of its user."""
    chats = Conversation.objects.filter(purpose=Purpose.CHAT)
    if actor.api_key_id is not None:
        return chats.filter(api_key_id=actor.api_key_id)
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


def hint_get(actor: Actor, conversation_id: UUID) -> Hint:
    """How a conversation stands now, for pages that show it. Raises: ChatNotFound."""
    conversation = conversations_owned(actor).filter(public_id=conversation_id).select_related("active_leaf").first()
    if conversation is None:
        raise ChatNotFound
    return hint_of(conversation)


def hint_of(conversation: Conversation) -> Hint:
    leaf = conversation.active_leaf
    shown = leaf.public_id if leaf else None
    return Hint(conversation.public_id, conversation.title, shown, _columns_of(conversation))


def _columns_of(conversation: Conversation) -> tuple[UUID, ...]:
    if not conversation.columns:
        return ()
    ids = dict(Message.objects.filter(pk__in=conversation.columns).values_list("pk", "public_id"))
    return tuple(ids[pk] for pk in conversation.columns)


def generation_get_owned(actor: Actor, generation_id: UUID) -> Generation:
    """Raises: ChatNotFound, also when it is somebody else's."""
    owned = Generation.objects.filter(public_id=generation_id, conversation__in=conversations_owned(actor))
    generation = owned.first()
    if generation is None:
        raise ChatNotFound
    return generation


def message_get(conversation: Conversation, message_id: UUID) -> Message:
    """Raises: ChatNotFound, also when it is in another conversation."""
    message = Message.objects.filter(conversation=conversation, public_id=message_id).first()
    if message is None:
        raise ChatNotFound
    return message


def path_list(conversation: Conversation) -> list[Message]:
    """The shown path from the first message to the active leaf, in two queries however long it is."""
    return messages_get(tree_get(conversation.pk).path(conversation.active_leaf_id))


def messages_get(keys: list[int]) -> list[Message]:
    """In the order in which they were written, with their models, generations and feedback."""
    rows = Message.objects.filter(pk__in=keys).select_related("model", "generation", "feedback")
    return list(rows.order_by("pk"))


def generation_of(message: Message) -> Generation | None:
    """None for what a person said, and for an answer that was not written here: one of a fork or an import."""
    return getattr(message, "generation", None)


def end_of(message: Message) -> str:
    """How an answer broke off, wherever it was written: an `End`, or empty."""
    generation = generation_of(message)
    return message.copied_end if generation is None else generation.end


def failure_of(generation: Generation) -> Failure | None:
    """The stored error of a generation that failed."""
    if not generation.error_code:
        return None
    return Failure(generation.error_code, generation.error_message, generation.is_error_retryable)
