"""What a person thinks of an answer: a thumb, and why."""

from uuid import UUID

from apps.accounts.actors import Actor
from apps.conversations.errors import CommentTooLong, FeedbackRefused
from apps.conversations.models import Feedback, Role
from apps.conversations.selectors.conversations import conversation_get, message_get
from apps.conversations.selectors.held import kept_by
from apps.core.texts import clean_text
from apps.holds.selectors import not_held_require
from apps.moderation.bans import ban_check

COMMENT_MAX_CHARS = 2_000


def comment_clean(comment: str) -> str:
    """Raises: CommentTooLong."""
    comment = clean_text(comment).strip()
    if len(comment) > COMMENT_MAX_CHARS:
        raise CommentTooLong(limit=f"{COMMENT_MAX_CHARS:,}")
    return comment


def feedback_give(
    *, actor: Actor, conversation_id: UUID, message_id: UUID, is_good: bool | None, reason: str = "", comment: str = ""
) -> None:
    """Say it, say it otherwise, or with None take it back. The caller has let the comment pass the gate.

    Raises: ChatNotFound; FeedbackRefused: it is no answer, or there is no such reason; Held, if a comment would go;
        Banned, but for taking it back.
    """
    conversation = conversation_get(actor, conversation_id)
    message = message_get(conversation, message_id)
    if message.role != Role.ASSISTANT:
        raise FeedbackRefused(reason="only answers can be judged, and this is a message of your own")
    if Feedback.objects.filter(message=message).exclude(comment__in=["", comment]).exists():
        not_held_require(kept_by(conversation))
    if is_good is None:
        Feedback.objects.filter(message=message).delete()
        return
    ban_check(actor)
    if reason and reason not in Feedback.Reason.values:
        raise FeedbackRefused(reason=f"its reason must be one of {', '.join(Feedback.Reason.values)}, or none")
    Feedback.objects.update_or_create(
        message=message, defaults={"is_good": is_good, "reason": reason, "comment": comment}
    )
