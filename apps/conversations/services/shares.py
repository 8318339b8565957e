"""Links to a chat as it is now, for everyone who has the address: made, revoked, and forgotten when they are over."""

import secrets
import time
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import islice
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.conversations.errors import ChatBehind, ChatNotFound, ChooseOne, NothingToShare, ShareTooLong, TooManyShares
from apps.conversations.markdown import message_html
from apps.conversations.models import UNFINISHED, Conversation, Role, Share
from apps.conversations.selectors.conversations import (
    conversation_get,
    conversations_owned,
    generation_of,
    path_list,
)
from apps.conversations.selectors.held import shares_not_held
from apps.conversations.selectors.shares import shares_valid
from apps.conversations.services.conversations import TITLE_MAX_CHARS
from apps.conversations.services.turns import require_may_chat
from apps.holds.selectors import held_ids
from apps.moderation.batches import batches
from apps.moderation.choices import Direction, Surface
from apps.moderation.gate import texts_pass

SHARES_MAX = 100
SHARED_MAX_CHARS = 300_000
"""In all messages together: a page that anybody may ask for."""
SHARED_HTML_MAX_CHARS = 3_000_000
RENDER_WITHIN_S = 10.0
TOKEN_BYTES = 24
"""Nobody guesses 192 bits."""


@dataclass(frozen=True, slots=True)
class SharedMessage:
    role: str
    content: str
    author: str
    is_imported: bool
    id: str = ""
    """Of the message that it is a copy of."""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a link would show."""

    title: str
    messages: tuple[SharedMessage, ...]


def share_create(*, actor: Actor, conversation_id: UUID, lasts: timedelta | None) -> Share:
    """Keep a copy of the path that is shown; later messages and the system prompt are not in it. None: for ever.

    It is looked at once more, by the rules of today: others will read it. Call it from a sync context.
    Raises: SignInRequired, ChatNotFound, ChooseOne, NothingToShare, ShareTooLong, TooManyShares, TextRefused;
        ChatBehind: the chat changed while it was looked at.
    """
    conversation = conversation_get(actor, conversation_id)
    require_may_chat(actor)
    # Counted before the work as well as after it: whoever has too many links costs nothing more.
    _require_place(actor)
    copy = _copy(conversation)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    passed = _rendered(async_to_sync(_copy_pass)(actor, copy, str(conversation_id)), token)
    with transaction.atomic():
        _owner_lock(actor)
        _require_place(actor)
        # Locked, so that nothing is taken out of it by a moderator without the copy learning of it.
        locked = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation.pk).first()
        if locked is None or _copy(locked) != copy:
            raise ChatBehind
        return Share.objects.create(
            token=token,
            conversation=conversation,
            title=passed.title,
            messages=[asdict(message) for message in passed.messages],
            expires_at=timezone.now() + lasts if lasts is not None else None,
        )


def share_revoke(*, actor: Actor, share_id: int) -> None:
    """From now on the address leads nowhere, and the copy is gone.

    Raises: ChatNotFound, also when it is somebody else's.
    """
    if not shares_revoke(Share.objects.filter(pk=share_id, conversation__in=conversations_owned(actor))):
        raise ChatNotFound


def shares_revoke(shares: QuerySet[Share]) -> int:
    """Let these addresses lead nowhere, and return how many did; the copies are gone, but for those that are held."""
    held, now = held_ids(), timezone.now()
    shares = shares.filter(revoked_at=None)
    if not held:
        return shares.update(revoked_at=now, messages=[])
    n_emptied = shares_not_held(shares, held).update(revoked_at=now, messages=[])
    return n_emptied + shares.update(revoked_at=now)


def shares_over() -> QuerySet[Share]:
    """Those that lead nowhere any more and that are not held: to be forgotten."""
    over = Share.objects.filter(Q(expires_at__lte=Now()) | Q(revoked_at__isnull=False))
    return shares_not_held(over, held_ids())


def images_at(token: str) -> str:
    """Where the page of a link finds the images of its chat."""
    return f"/shared/{token}/images/"


def _copy(conversation: Conversation) -> Copy:
    """Without what is being written. Raises: ChooseOne, NothingToShare, ShareTooLong."""
    if conversation.columns:
        raise ChooseOne
    messages = tuple(
        SharedMessage(message.role, message.content, message.author, message.is_imported, str(message.public_id))
        for message in path_list(conversation)
        if message.content and ((generation := generation_of(message)) is None or generation.state not in UNFINISHED)
    )
    if not messages:
        raise NothingToShare
    if sum(len(message.content) for message in messages) > SHARED_MAX_CHARS:
        raise ShareTooLong(reason=f"its messages have more than {SHARED_MAX_CHARS:,} characters")
    return Copy(conversation.title, messages)


async def _copy_pass(actor: Actor, copy: Copy, chat_id: str) -> Copy:
    """What was asked is judged as such, and what was answered as such. Raises: TextRefused."""
    said = {role: [(m.content, m.id) for m in copy.messages if m.role == role] for role in Role}
    title, *asked = await _texts_pass(actor, [(copy.title, chat_id), *said[Role.USER]], Direction.IN)
    answered = await _texts_pass(actor, said[Role.ASSISTANT], Direction.OUT)
    texts = {Role.USER: iter(asked), Role.ASSISTANT: iter(answered)}
    messages = tuple(replace(message, content=next(texts[Role(message.role)])) for message in copy.messages)
    return Copy(title[:TITLE_MAX_CHARS], messages)


async def _texts_pass(actor: Actor, texts: list[tuple[str, str]], direction: Direction) -> list[str]:
    """Each with the id by which an incident about it is found."""
    passed: list[str] = []
    references = iter([reference for _, reference in texts])
    for batch in batches(text for text, _ in texts):
        theirs = list(islice(references, len(batch)))
        passed += await texts_pass(batch, surface=Surface.CHAT, actor=actor, directions=[direction], references=theirs)
    return passed


def _rendered(copy: Copy, token: str) -> Copy:
    """Raises: ShareTooLong: the page would be too long, or takes too long to make."""
    n_chars, give_up_at = 0, time.monotonic() + RENDER_WITHIN_S
    messages: list[SharedMessage] = []
    for message in copy.messages:
        is_answer = message.role == Role.ASSISTANT
        html = message_html(message.content, is_answer=is_answer, images_at=images_at(token))
        n_chars += len(html)
        if n_chars > SHARED_HTML_MAX_CHARS:
            raise ShareTooLong(reason=f"its page would have more than {SHARED_HTML_MAX_CHARS:,} characters of HTML")
        if time.monotonic() > give_up_at:
            raise ShareTooLong(reason=f"its page takes longer to make than {RENDER_WITHIN_S:g} s")
        messages.append(replace(message, html=html))
    return replace(copy, messages=tuple(messages))


def _require_place(actor: Actor) -> None:
    """Raises: TooManyShares."""
    if shares_valid().filter(conversation__in=conversations_owned(actor)).count() >= SHARES_MAX:
        raise TooManyShares(limit=SHARES_MAX)


def _owner_lock(actor: Actor) -> None:
    """Of two links at once the second one waits here, so that the limit holds."""
    if actor.user_id is not None:
        User.objects.select_for_update(no_key=True).get(pk=actor.user_id)
    elif actor.visitor_public_id is not None:
        Visitor.objects.select_for_update(no_key=True).get(public_id=actor.visitor_public_id)
