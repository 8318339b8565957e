"""What the chat keeps of a text that moderation has an incident about, for moderators: read, and taken out.

Source of the shape: `apps.moderation.kept`.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.conversations.errors import AnswerRunning
from apps.conversations.models import UNFINISHED, Conversation, Generation, Message, Share
from apps.conversations.services.openings import conversation_opened
from apps.conversations.services.shares import message_html
from apps.conversations.texts import title_from
from apps.moderation.kept import Kept, Line

N_BEFORE = 10
"""Messages before the one in question."""


class ChatKeeper:
    """Of chats, and of the sides of battles, which are kept alike.

    An incident's reference is the id of a message, or of the generation that wrote one.
    """

    def open(self, reference: str, *, reader: User) -> Kept | None:
        message = _message(reference)
        if message is None:
            return None
        conversation_opened(message.conversation, reader=reader, why="a rule or classifier found something in it")
        return Kept(str(message.conversation), [*map(_line, _before(message)), _line(message, is_subject=True)])

    def redact(self, reference: str, redacted: Callable[[str], str]) -> bool:
        """Raises: AnswerRunning while it is being written."""
        with transaction.atomic():
            message = _message(reference)
            if message is None:
                return False
            Conversation.objects.select_for_update(of=("self",)).get(pk=message.conversation_id)
            if Generation.objects.filter(message=message, state__in=UNFINISHED).exists():
                raise AnswerRunning
            _replace(message, redacted(message.content))
        return True


def _replace(message: Message, text: str) -> None:
    """Wherever its owner has the same text: in forks, in the other side of a battle, in what is shared; as a title."""
    chats = Conversation.objects.filter(user=message.conversation.user, visitor=message.conversation.visitor)
    old, shares = message.content, Share.objects.filter(conversation__in=chats)
    # A title is the beginning of the first message, until its owner gives another.
    chats.filter(title=title_from(old)).update(title=title_from(text))
    shares.filter(title=title_from(old)).update(title=title_from(text))
    for share in shares.filter(messages__contains=[{"content": old}]).iterator(chunk_size=10):
        for shared in share.messages:
            if shared["content"] == old:
                shared |= {"content": text, "html": message_html(shared["role"], text)}
        share.save(update_fields=["messages"])
    Message.objects.filter(conversation__in=chats, content=old).update(content=text)


def _message(reference: str) -> Message | None:
    try:
        public_id = UUID(reference)
    except ValueError:
        return None
    found = Message.objects.filter(Q(public_id=public_id) | Q(generation__public_id=public_id))
    return found.select_related("conversation__user", "conversation__visitor", "parent").first()


def _before(message: Message) -> list[Message]:
    """The last messages before it on its path, the oldest first."""
    before: list[Message] = []
    parent = message.parent
    while parent is not None and len(before) < N_BEFORE:
        before.insert(0, parent)
        parent = parent.parent
    return before


def _line(message: Message, *, is_subject: bool = False) -> Line:
    return Line(message.get_role_display(), message.content, is_subject)
