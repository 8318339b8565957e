"""A turn: store what a person said and the empty answer to it. Nothing is generated here."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.catalog.models import LanguageModel
from apps.conversations.errors import (
    AnswerRunning,
    ChatNotFound,
    EmptyMessage,
    MessageTooLong,
    SignInRequired,
)
from apps.conversations.models import UNFINISHED, Conversation, Generation, Message, Role
from apps.conversations.selectors.conversations import conversations_owned
from apps.conversations.services.generations import lease_end
from apps.conversations.texts import title_from
from apps.core.texts import clean_text
from apps.workers.selectors import model_get_offered


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn stored. `user_message` is None when an old one is answered again."""

    conversation: Conversation
    user_message: Message | None
    assistant_message: Message
    generation: Generation
    is_new_conversation: bool = False


def turn_check(*, actor: Actor, conversation_id: UUID | None, model_name: str, text: str) -> None:
    """Whether `turn_start` would take this now: asked before anybody looks at the text. Raises: as `turn_start`."""
    require_may_chat(actor)
    if conversation_id is not None:
        _require_free(conversations_owned(actor).filter(public_id=conversation_id).first())
    model_get_offered(actor, model_name)
    _checked(text)


def turn_start(*, actor: Actor, conversation_id: UUID | None, model_name: str, text: str) -> Turn:
    """Add a user message at the end of the shown path, and an empty answer under it.

    Raises: EmptyMessage, MessageTooLong, SignInRequired, ChatNotFound, ModelUnknown, AnswerRunning.
    """
    text = _checked(text)
    require_may_chat(actor)
    model = model_get_offered(actor, model_name)
    with transaction.atomic():
        if conversation_id is None:
            conversation = _conversation_create(actor, title_from(text))
        else:
            conversation = _conversation_lock(actor, conversation_id)
        question = Message.objects.create(
            conversation=conversation, parent_id=conversation.active_leaf_id, role=Role.USER, content=text
        )
        answer, generation = _answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation, is_new_conversation=conversation_id is None)


def turn_regenerate(*, actor: Actor, conversation_id: UUID, model_name: str | None) -> Turn:
    """Answer the last user message of the shown path again, beside the old answer; without a name by the same model.

    Raises: SignInRequired, ChatNotFound, ModelUnknown, AnswerRunning.
    """
    require_may_chat(actor)
    with transaction.atomic():
        conversation = _conversation_lock(actor, conversation_id)
        leaf = conversation.active_leaf
        question = leaf.parent if leaf is not None and leaf.role == Role.ASSISTANT else leaf
        if leaf is None or question is None:
            raise ChatNotFound
        name = model_name if model_name is not None else (leaf.model.name if leaf.model else "")
        answer, generation = _answer_begin(conversation, question, model_get_offered(actor, name))
    return Turn(conversation, None, answer, generation)


def _checked(text: str) -> str:
    if len(text) > settings.MESSAGE_MAX_CHARS:
        raise MessageTooLong(length=f"{len(text):,}", limit=f"{settings.MESSAGE_MAX_CHARS:,}")
    text = clean_text(text)
    if not text.strip():
        raise EmptyMessage
    return text


def require_may_chat(actor: Actor) -> None:
    """Raises: SignInRequired."""
    # A socket outlives the sign-in that opened it, so the account is looked at again.
    is_user = actor.user_id is not None and User.objects.filter(pk=actor.user_id, is_active=True).exists()
    is_visitor = actor.visitor_public_id is not None and settings.VISITORS_MAY_CHAT
    if not is_user and not is_visitor:
        raise SignInRequired


def _conversation_create(actor: Actor, title: str) -> Conversation:
    visitor = None
    if actor.visitor_public_id is not None:
        visitor, _ = Visitor.objects.get_or_create(public_id=actor.visitor_public_id)
    return Conversation.objects.create(user_id=actor.user_id, visitor=visitor, title=title, updated_at=timezone.now())


def _conversation_lock(actor: Actor, conversation_id: UUID) -> Conversation:
    """Lock the row until the transaction ends: of two turns at once the second one waits, and then sees the first."""
    owned = conversations_owned(actor).filter(public_id=conversation_id)
    return _require_free(owned.select_for_update(of=("self",)).first())


def _require_free(conversation: Conversation | None) -> Conversation:
    """Raises: ChatNotFound, AnswerRunning."""
    if conversation is None:
        raise ChatNotFound
    if Generation.objects.filter(conversation=conversation, state__in=UNFINISHED).exists():
        raise AnswerRunning
    return conversation


def _answer_begin(conversation: Conversation, question: Message, model: LanguageModel) -> tuple[Message, Generation]:
    answer = Message.objects.create(conversation=conversation, parent=question, role=Role.ASSISTANT, model=model)
    # The lease keeps the recovery away until the process that wrote this has begun to read.
    generation = Generation.objects.create(
        conversation=conversation, message=answer, reader_lease_expires_at=lease_end()
    )
    conversation.active_leaf = answer
    conversation.updated_at = timezone.now()
    conversation.save(update_fields=["active_leaf", "updated_at"])
    return answer, generation
