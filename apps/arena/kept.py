"""What a battle keeps of what was asked in it, for moderators. Answers are kept as the chat keeps its own."""

from uuid import UUID

from django.db import transaction

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena.models import Position
from apps.arena.selectors import battles_owned
from apps.conversations.kept import ChatKeeper, messages_replace
from apps.conversations.kept_lines import line_of
from apps.conversations.models import Message, Role
from apps.conversations.services.openings import conversation_opened
from apps.moderation.kept import FOUND_SOMETHING, Kept, TakenOut


class ArenaKeeper(ChatKeeper):
    """An incident about a question has the battle's id as its reference, and is about all that was asked there."""

    def open(self, reference: str, *, author: Actor, reader: User) -> Kept | None:
        if not (asked := _questions(reference, author)):
            return super().open(reference, author=author, reader=reader)
        side = asked[0].conversation
        conversation_opened(side, reader=reader, why=FOUND_SOMETHING)
        return Kept(str(side), [line_of(question, is_subject=True) for question in asked])

    def redact(self, reference: str, *, author: Actor, taken_out: TakenOut) -> bool:
        """Raises: AnswerRunning."""
        with transaction.atomic():
            if asked := _questions(reference, author):
                messages_replace(asked, author, taken_out)
                return True
        return super().redact(reference, author=author, taken_out=taken_out)


def _questions(reference: str, author: Actor) -> list[Message]:
    """Of side A; B's are the same."""
    try:
        battles = battles_owned(author).filter(public_id=UUID(reference))
    except ValueError:
        return []
    found = Message.objects.filter(
        conversation__side__battle__in=battles, conversation__side__position=Position.A, role=Role.USER
    )
    return list(found.select_related("conversation__visitor").order_by("pk"))
