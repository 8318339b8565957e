"""Several models side by side: one message, an answer by each of them, each in a branch of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import ColumnsWrong
from apps.conversations.models import Conversation, Generation, Message
from apps.conversations.selectors.conversations import message_get
from apps.conversations.services.turns import (
    Turn,
    answer_begin,
    conversation_create,
    conversation_lock,
    question_create,
    require_may_chat,
    text_checked,
    turn_regenerate,
)
from apps.conversations.texts import title_from
from apps.workers.selectors import model_get_offered

COLUMNS_MIN = 2
COLUMNS_MAX = 4


@dataclass(frozen=True, slots=True)
class Said:
    """A message that passed the gate, and the ids under which it was looked at: its own, and that of a new chat."""

    text: str
    message_id: UUID
    chat_id: UUID


@dataclass(frozen=True, slots=True)
class TurnBeside:
    """What was stored: the answers in the order of the models."""

    conversation: Conversation
    generations: list[Generation]


def turn_beside(
    *,
    actor: Actor,
    conversation_id: UUID | None,
    model_names: Sequence[str],
    said: Said,
    settings: ChatSettings | None = None,
    leaf_id: UUID | None = None,
    leaf_ids: Sequence[UUID] | None = None,
) -> TurnBeside:
    """Let several models answer a message, and show their answers side by side.

    `leaf_ids`: the ends of the branches that are shown side by side already, in the order of the models; it is said at
    the end of each. Without them it is said once, as `turn_start` says it.

    Raises: EmptyMessage, MessageTooLong, SignInRequired, ChatNotFound, ModelUnknown, AnswerRunning, ColumnsWrong.
    """
    text = text_checked(said.text)
    require_may_chat(actor)
    models = models_beside(actor, model_names, leaf_ids)
    with transaction.atomic():
        if conversation_id is None:
            conversation = conversation_create(actor, title_from(text), settings, said.chat_id)
        else:
            conversation = conversation_lock(actor, conversation_id)
        questions = _questions(conversation, text, said, len(models), leaf_id, leaf_ids)
        begun = [
            answer_begin(conversation, question, model, column=column)
            for column, (question, model) in enumerate(zip(questions, models, strict=True))
        ]
        conversation.columns = [answer.pk for answer, _ in begun]
        conversation.active_leaf = begun[0][0]
        conversation.save(update_fields=["active_leaf", "columns"])
    return TurnBeside(conversation, [generation for _, generation in begun])


def turn_regenerate_beside(
    *, actor: Actor, conversation_id: UUID, model_name: str | None, message_id: UUID | None = None
) -> Turn:
    """As `turn_regenerate`; the new answer to the end of a column stands there, and the other columns stay.

    Raises: what that raises, ColumnsWrong.
    """
    with transaction.atomic():
        before = conversation_lock(actor, conversation_id)
        old_pk = before.active_leaf_id if message_id is None else message_get(before, message_id).pk
        turn = turn_regenerate(
            actor=actor, conversation_id=conversation_id, model_name=model_name, message_id=message_id
        )
        conversation, answer = turn.conversation, turn.assistant_message
        if old_pk in before.columns:
            others = Message.objects.filter(pk__in=before.columns).exclude(pk=old_pk)
            if others.filter(model=answer.model).exists():
                raise ColumnsWrong(reason="this model answers in another column")
            conversation.columns = [answer.pk if pk == old_pk else pk for pk in before.columns]
            conversation.active_leaf_id = conversation.columns[0]
            conversation.save(update_fields=["active_leaf", "columns"])
    return turn


def models_beside(actor: Actor, names: Sequence[str], leaf_ids: Sequence[UUID] | None) -> list[LanguageModel]:
    """Raises: ColumnsWrong, ModelUnknown."""
    is_several = COLUMNS_MIN <= len(names) <= COLUMNS_MAX
    if not is_several or len(set(names)) < len(names) or (leaf_ids is not None and len(leaf_ids) != len(names)):
        raise ColumnsWrong(reason=f"choose {COLUMNS_MIN} to {COLUMNS_MAX} different models, one for each column")
    return [model_get_offered(actor, name) for name in names]


def _questions(
    conversation: Conversation,
    text: str,
    said: Said,
    n_models: int,
    leaf_id: UUID | None,
    leaf_ids: Sequence[UUID] | None,
) -> list[Message]:
    if leaf_ids is None:
        leaf_pk = conversation.active_leaf_id if leaf_id is None else message_get(conversation, leaf_id).pk
        return [question_create(conversation, leaf_pk, text, said.message_id)] * n_models
    leaves = [message_get(conversation, leaf).pk for leaf in leaf_ids]
    if leaves != conversation.columns:
        raise ColumnsWrong(reason="these answers are not side by side any more; reload the page")
    first = question_create(conversation, leaves[0], text, said.message_id)
    return [first, *(question_create(conversation, leaf, text) for leaf in leaves[1:])]
