"""The door for what a person thinks of an answer."""

from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from apps.conversations.errors import FeedbackRefused
from apps.conversations.kept import COMMENT_MARK
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.services.feedback import comment_clean, feedback_give
from apps.conversations.views.support import actor_of, for_people
from apps.moderation.choices import Surface
from apps.moderation.gate import text_pass

THUMBS = {"up": True, "down": False, "": None}
"""Nothing takes it back."""


@require_POST
@for_people
def feedback(request: HttpRequest, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    actor = actor_of(request)
    conversation_get(actor, conversation_id)  # nobody looks at a text of somebody who may not say it here
    thumb = request.POST.get("thumb", "")
    if thumb not in THUMBS:
        raise FeedbackRefused(reason="'thumb' must be up, down, or nothing to take it back")
    comment = comment_clean(request.POST.get("comment", ""))
    if comment:
        reference = f"{COMMENT_MARK}{message_id}"
        comment = async_to_sync(text_pass)(comment, surface=Surface.CHAT, actor=actor, reference=reference)
    feedback_give(
        actor=actor,
        conversation_id=conversation_id,
        message_id=message_id,
        is_good=THUMBS[thumb],
        reason=request.POST.get("reason", ""),
        comment=comment,
    )
    return HttpResponse(status=204)
