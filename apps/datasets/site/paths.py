"""What is shown of conversations, read some at a time: no page is asked for, and no owner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models.functions import Length
from django.utils.crypto import salted_hmac

from apps.conversations.image_marks import image_ids
from apps.conversations.markdown.thoughts import without_thoughts
from apps.conversations.models import UNFINISHED, Conversation, Message, Role
from apps.conversations.selectors.conversations import end_of, generation_of
from apps.datasets.formats.files import ROW_MAX_CHARS
from apps.datasets.site.asked import Why

CHARS_AT_ONCE = 4_000_000

Turn = tuple[Message, Message]
"""A question and its answer."""


@dataclass(slots=True)
class Path:
    """From the first message to the last one that is shown. `messages` are not read if there is too much in them."""

    keys: list[int] = field(default_factory=list)
    n_chars: int = 0
    messages: list[Message] = field(default_factory=list)

    @property
    def is_too_long(self) -> bool:
        return self.n_chars > ROW_MAX_CHARS // 2  # in JSON a character may be two

    def why_not(self) -> Why | None:
        """What is wrong with it as a whole."""
        if self.is_too_long:
            return Why.TOO_LONG
        if any(message.is_imported for message in self.messages):
            return Why.IMPORTED
        if any(image_ids(message.content) for message in self.messages):
            return Why.IMAGES
        return None

    def turns(self) -> list[Turn]:
        """Up to the first question that has no whole answer."""
        whole: list[Turn] = []
        for question, answer in zip(self.messages[::2], self.messages[1::2], strict=False):
            if question.role != Role.USER or answer.role != Role.ASSISTANT or not _is_whole(answer):
                break
            whole.append((question, answer))
        return whole


def paths_read(conversations: Sequence[Conversation]) -> Iterator[tuple[Conversation, Path]]:
    """In their order."""
    paths = _keys_read(conversations)
    waiting: list[Conversation] = []
    n_chars = 0
    for conversation in conversations:
        waiting.append(conversation)
        n_chars += 0 if paths[conversation.pk].is_too_long else paths[conversation.pk].n_chars
        if n_chars >= CHARS_AT_ONCE:
            yield from _with_texts(waiting, paths)
            waiting, n_chars = [], 0
    yield from _with_texts(waiting, paths)


def _keys_read(conversations: Sequence[Conversation]) -> dict[int, Path]:
    """Trees without their texts: most of a tree may be branches that are not shown."""
    rows = Message.objects.filter(conversation__in=conversations).order_by()
    nodes = {pk: (parent, n_chars) for pk, parent, n_chars in rows.values_list("pk", "parent_id", Length("content"))}
    paths = {}
    for conversation in conversations:
        path = paths[conversation.pk] = Path()
        at = conversation.active_leaf_id
        while at is not None and at in nodes:
            parent, n_chars = nodes[at]
            path.keys.append(at)
            path.n_chars += n_chars
            at = parent
        path.keys.reverse()
    return paths


def _with_texts(conversations: Sequence[Conversation], paths: dict[int, Path]) -> Iterator[tuple[Conversation, Path]]:
    wanted = [key for one in conversations if not paths[one.pk].is_too_long for key in paths[one.pk].keys]
    messages = Message.objects.select_related("model", "generation", "feedback").in_bulk(wanted)
    for conversation in conversations:
        path = paths[conversation.pk]
        path.messages = [messages[key] for key in path.keys if key in messages]
        yield conversation, path


def _is_whole(answer: Message) -> bool:
    generation = generation_of(answer)
    is_written = answer.is_whole and (generation is None or generation.state not in UNFINISHED)
    return is_written and not end_of(answer) and bool(without_thoughts(answer.content).strip())


def record_id(public_id: object) -> str:
    """The same for the same conversation or battle, and nothing by which somebody could find it."""
    return salted_hmac("datasets.site", str(public_id), algorithm="sha256").hexdigest()[:32]
