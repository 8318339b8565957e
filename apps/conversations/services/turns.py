"""A turn: store what a person said and the empty answer to it. Nothing is generated here."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings as site_settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import (
    AnswerRunning,
    ChatNotFound,
    EmptyMessage,
    MessageTooLong,
    NothingToAnswer,
    NothingToContinue,
    SignInRequired,
)
from apps.conversations.models import UNFINISHED, Conversation, Generation, Message, Role
from apps.conversations.selectors.conversations import conversations_owned, end_of, message_get
from apps.conversations.services.generations import lease_end
from apps.conversations.services.images import images_tie, sight_check
from apps.conversations.texts import title_from
from apps.core.texts import clean_text
from apps.moderation.bans import ban_check
from apps.workers.selectors import model_get_offered


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn stored. `user_message` is None when an old one is answered again."""

    conversation: Conversation
    user_message: Message | None
    assistant_message: Message
    generation: Generation


def turn_check(
    *, actor: Actor, conversation_id: UUID | None, model_name: str, text: str, message_id: UUID | None = None
) -> None:
    """Whether `turn_start`, or `turn_edit` of a message, would take this now: asked before anybody looks at the text.

    Raises: as they do.
    """
    require_may_chat(actor)
    if conversation_id is not None:
        conversation = _require_free(conversations_owned(actor).filter(public_id=conversation_id).first())
        if message_id is not None:
            _own_message_get(conversation, message_id)
    model_get_offered(actor, model_name)
    text_checked(text)


def turn_start(
    *,
    actor: Actor,
    conversation_id: UUID | None,
    model_name: str,
    text: str,
    new_id: UUID | None = None,
    new_chat_id: UUID | None = None,
    settings: ChatSettings | None = None,
    leaf_id: UUID | None = None,
) -> Turn:
    """Add a user message at the end of the path that its sender sees, and an empty answer under it.

    `leaf_id`: where that path ends, if it is known; another tab may have changed which one the chat shows.
    `new_id`: under which the text was looked at before; the message has it. `new_chat_id`: so for the settings, and a
    chat that begins with this.
    `settings` are for a conversation that begins with this; an old one keeps its own.

    Raises: EmptyMessage, MessageTooLong, SignInRequired, ChatNotFound, ModelUnknown, AnswerRunning.
    """
    text = text_checked(text)
    require_may_chat(actor)
    model = model_get_offered(actor, model_name)
    with transaction.atomic():
        if conversation_id is None:
            conversation = conversation_create(actor, title_from(text), settings, new_chat_id)
        else:
            conversation = conversation_lock(actor, conversation_id)
        leaf_pk = conversation.active_leaf_id if leaf_id is None else message_get(conversation, leaf_id).pk
        question = question_create(conversation, leaf_pk, text, new_id)
        answer, generation = answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation)


def turn_edit(
    *, actor: Actor, conversation_id: UUID, message_id: UUID, model_name: str, text: str, new_id: UUID | None = None
) -> Turn:
    """Say something else instead of an earlier user message. What was said first stays, as its sibling.

    Raises: EmptyMessage, MessageTooLong, SignInRequired, ChatNotFound, ModelUnknown, AnswerRunning.
    """
    text = text_checked(text)
    require_may_chat(actor)
    model = model_get_offered(actor, model_name)
    with transaction.atomic():
        conversation = conversation_lock(actor, conversation_id)
        old = _own_message_get(conversation, message_id)
        question = question_create(conversation, old.parent_id, text, new_id)
        answer, generation = answer_begin(conversation, question, model)
    return Turn(conversation, question, answer, generation)


def turn_regenerate(
    *, actor: Actor, conversation_id: UUID, model_name: str | None, message_id: UUID | None = None
) -> Turn:
    """Answer a user message again, beside the old answer; without a name by the same model.

    `message_id` is the answer's; without one it is the last of the shown path.

    Raises: SignInRequired, ChatNotFound, NothingToAnswer, ModelUnknown, AnswerRunning.
    """
    require_may_chat(actor)
    with transaction.atomic():
        conversation = conversation_lock(actor, conversation_id)
        old = conversation.active_leaf if message_id is None else message_get(conversation, message_id)
        if old is None:
            raise ChatNotFound
        question = _question_of(old)
        name = model_name if model_name is not None else (old.model.name if old.model else "")
        answer, generation = answer_begin(conversation, question, model_get_offered(actor, name))
    return Turn(conversation, None, answer, generation)


def turn_continue(*, actor: Actor, conversation_id: UUID, message_id: UUID | None = None) -> Turn:
    """Go on with an answer that broke off, by the same model. What there was of it stays.

    `message_id` is the answer's; without one it is the last of the shown path.

    Raises: SignInRequired, ChatNotFound, NothingToContinue, ModelUnknown, AnswerRunning.
    """
    require_may_chat(actor)
    with transaction.atomic():
        conversation = conversation_lock(actor, conversation_id)
        partial = conversation.active_leaf if message_id is None else message_get(conversation, message_id)
        if partial is None or partial.parent is None or not end_of(partial) or not partial.content:
            raise NothingToContinue
        model = model_get_offered(actor, partial.model.name if partial.model else partial.written_by)
        answer, generation = answer_begin(conversation, partial.parent, model, given=partial.content)
    return Turn(conversation, None, answer, generation)


def _question_of(message: Message) -> Message:
    """Itself, or what the person said last before it: in an imported chat answers may follow each other.

    Raises: NothingToAnswer.
    """
    question: Message | None = message
    while question is not None and question.role != Role.USER:
        question = question.parent
    if question is None:
        raise NothingToAnswer
    return question


def text_checked(text: str) -> str:
    """A message's text as it may be stored. Raises: EmptyMessage, MessageTooLong."""
    if len(text) > site_settings.MESSAGE_MAX_CHARS:
        raise MessageTooLong(length=f"{len(text):,}", limit=f"{site_settings.MESSAGE_MAX_CHARS:,}")
    text = clean_text(text)
    if not text.strip():
        raise EmptyMessage
    return text


def require_may_chat(actor: Actor) -> None:
    """Raises: SignInRequired, Banned."""
    # A socket outlives the sign-in that opened it, so the account is looked at again.
    is_user = actor.user_id is not None and User.objects.filter(pk=actor.user_id, is_active=True).exists()
    is_visitor = actor.visitor_public_id is not None and site_settings.VISITORS_MAY_CHAT
    # One of the installation's has no user; whoever let it in has asked whether the key opens.
    is_program = actor.api_key_id is not None and actor.user_id is None
    if not is_user and not is_visitor and not is_program:
        raise SignInRequired
    ban_check(actor)


def conversation_create(
    actor: Actor, title: str, settings: ChatSettings | None = None, new_id: UUID | None = None
) -> Conversation:
    """Without messages; a visitor who says something for the first time gets a row."""
    visitor = None
    if actor.visitor_public_id is not None:
        visitor, _ = Visitor.objects.get_or_create(public_id=actor.visitor_public_id)
    chosen = settings or ChatSettings()
    return Conversation.objects.create(
        public_id=new_id or uuid4(),
        user_id=actor.user_id,
        visitor=visitor,
        api_key_id=actor.api_key_id,
        title=title,
        system_prompt=chosen.system_prompt,
        sampling=chosen.sampling,
        updated_at=timezone.now(),
    )


def conversation_lock(actor: Actor, conversation_id: UUID) -> Conversation:
    """Lock the row until the transaction ends: of two turns at once the second one waits, and then sees the first.

    A chat that its user goes on with is a program's no longer: what is asked in it counts for the user from then on.
    Raises: ChatNotFound, AnswerRunning.
    """
    owned = conversations_owned(actor).filter(public_id=conversation_id)
    conversation = _require_free(owned.select_for_update(of=("self",)).first())
    if conversation.api_key_id != actor.api_key_id:
        conversation.api_key_id = actor.api_key_id
        conversation.save(update_fields=["api_key"])
    return conversation


def _require_free(conversation: Conversation | None) -> Conversation:
    """Raises: ChatNotFound, AnswerRunning."""
    if conversation is None:
        raise ChatNotFound
    if Generation.objects.filter(conversation=conversation, state__in=UNFINISHED).exists():
        raise AnswerRunning
    return conversation


def _own_message_get(conversation: Conversation, message_id: UUID) -> Message:
    """One that the person wrote. Raises: ChatNotFound."""
    message = message_get(conversation, message_id)
    if message.role != Role.USER:
        raise ChatNotFound
    return message


def question_create(
    conversation: Conversation, parent_pk: int | None, text: str, new_id: UUID | None = None
) -> Message:
    """Call it in a transaction. Raises: ImageNotFound."""
    question = Message.objects.create(
        public_id=new_id or uuid4(), conversation=conversation, parent_id=parent_pk, role=Role.USER, content=text
    )
    images_tie(conversation, [question], must_be_there=True)
    return question


def answer_begin(
    conversation: Conversation, question: Message, model: LanguageModel, *, given: str = "", column: int = 0
) -> tuple[Message, Generation]:
    """Add an empty answer, or one that begins with what is given, and show it alone. The caller holds the conversation.

    `column`: its place, if others are written beside it. Raises: TooManyImages, ModelSeesNothing.
    """
    sight_check(conversation, question, model)
    answer = Message.objects.create(
        conversation=conversation, parent=question, role=Role.ASSISTANT, model=model, content=given, is_whole=False
    )
    # The lease keeps the recovery away until the process that wrote this has begun to read.
    generation = Generation.objects.create(
        conversation=conversation,
        message=answer,
        column=column,
        n_given_chars=len(given),
        reader_lease_expires_at=lease_end(),
    )
    conversation.active_leaf, conversation.columns = answer, []
    conversation.updated_at = timezone.now()
    conversation.is_archived = False
    conversation.save(update_fields=["active_leaf", "columns", "updated_at", "is_archived"])
    return answer, generation
