"""What a page shows of a conversation: its messages as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from uuid import UUID

from apps.conversations.markdown import message_html
from apps.conversations.models import Conversation, End, Feedback, GenerationState, Message, Role
from apps.conversations.outcomes import Failure
from apps.conversations.selectors.conversations import (
    failure_of,
    generation_of,
    messages_get,
)
from apps.conversations.selectors.tree import Siblings, Tree, tree_get


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as a page shows it; the fields from `generation` on are None for a user's."""

    id: UUID
    role: str
    html: str
    model_name: str
    is_imported: bool
    generation: UUID | None
    state: str
    error: Failure | None
    tokens_per_s: float | None
    completion_tokens: int | None
    finish_reason: str
    siblings: Siblings
    thumb: str
    """`up`, `down`, or nothing: what its reader thought of it."""


@dataclass(frozen=True, slots=True)
class ShownColumn:
    """One of several branches side by side, from where they part: what it ends with, and which model writes there."""

    leaf: UUID
    model: str
    label: str
    messages: list[ShownMessage]


@dataclass(frozen=True, slots=True)
class ShownThread:
    """What a chat shows: a path, or what its columns have in common, and these."""

    messages: list[ShownMessage]
    columns: list[ShownColumn]

    @property
    def all_messages(self) -> list[ShownMessage]:
        return self.messages + [message for column in self.columns for message in column.messages]


def messages_shown(conversation: Conversation) -> list[ShownMessage]:
    """The path of the active leaf as a page shows it, in two queries."""
    return _thread(conversation, [conversation.active_leaf_id]).messages


def thread_shown(conversation: Conversation) -> ShownThread:
    """All that the page shows, in two queries."""
    return _thread(conversation, conversation.columns or [conversation.active_leaf_id])


def _thread(conversation: Conversation, leaves: Sequence[int | None]) -> ShownThread:
    tree = tree_get(conversation.pk)
    paths = [tree.path(leaf) for leaf in leaves]
    rows = {message.pk: message for message in messages_get(list(set().union(*paths)))}
    n_common = _n_common(paths) if len(paths) > 1 else len(paths[0])
    columns = [[rows[pk] for pk in path[n_common:]] for path in paths] if len(paths) > 1 else []
    return ShownThread(
        [_shown(rows[pk], tree.siblings(pk)) for pk in paths[0][:n_common]],
        [_column(messages, tree) for messages in columns if messages],
    )


def _n_common(paths: Sequence[Sequence[int]]) -> int:
    """How many keys all of them begin with."""
    return sum(1 for _ in takewhile(lambda keys: len(set(keys)) == 1, zip(*paths, strict=False)))


def _column(messages: list[Message], tree: Tree) -> ShownColumn:
    last = messages[-1]
    return ShownColumn(
        leaf=last.public_id,
        model=last.model.name if last.model else "",
        label=last.author,
        messages=[_shown(message, tree.siblings(message.pk)) for message in messages],
    )


def _shown(message: Message, siblings: Siblings) -> ShownMessage:
    is_answer = message.role == Role.ASSISTANT
    generation = generation_of(message) if is_answer else None
    return ShownMessage(
        id=message.public_id,
        role=message.role,
        html=message_html(message.content, is_answer=is_answer),
        model_name=message.author,
        is_imported=message.is_imported,
        generation=generation.public_id if generation else None,
        state=generation.state if generation else _state_of_copy(message),
        error=failure_of(generation) if generation else None,
        tokens_per_s=generation.tokens_per_s if generation else None,
        completion_tokens=generation.completion_tokens if generation else None,
        finish_reason=generation.finish_reason if generation else message.copied_end,
        siblings=siblings,
        thumb=_thumb(message) if is_answer else "",
    )


def _state_of_copy(message: Message) -> str:
    match message.copied_end:
        case End.STOPPED:
            return GenerationState.STOPPED
        case End.FAILED:
            return GenerationState.FAILED
        case _:
            return GenerationState.COMPLETE


def _thumb(message: Message) -> str:
    feedback: Feedback | None = getattr(message, "feedback", None)
    if feedback is None:
        return ""
    return "up" if feedback.is_good else "down"
