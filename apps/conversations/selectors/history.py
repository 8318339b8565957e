"""A person's chats: the history beside a page, the list of all of them, and their folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.conversations.models import UNFINISHED, Conversation, Generation
from apps.conversations.selectors.conversations import conversations_owned

HISTORY_LIMIT = 200
"""The side bar shows the pinned and the newest ones; the page of all chats has the others."""
PAGE_SIZE = 50
FOLDERS_MAX = 200
PINNED = "Pinned"

_AGES = (
    (timedelta(days=1), "Today"),
    (timedelta(days=2), "Yesterday"),
    (timedelta(days=7), "Previous 7 days"),
    (timedelta(days=30), "Previous 30 days"),
)


@dataclass(frozen=True, slots=True)
class HistoryItem:
    id: UUID
    title: str
    url: str
    folder: str
    updated_at: datetime
    is_current: bool
    is_running: bool
    is_pinned: bool
    is_archived: bool


@dataclass(frozen=True, slots=True)
class HistoryGroup:
    """Pinned chats, those of a folder, or those of about one age; newest first."""

    label: str
    items: list[HistoryItem]
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class ChatsPage:
    """Some of a person's chats; `older` is the address part of the next page, empty at the end."""

    items: list[HistoryItem]
    older: str


def history_list(actor: Actor, *, current: UUID | None = None) -> list[HistoryGroup]:
    """The pinned and the newest chats, in one query: pinned, then by folder, then by age."""
    chats = _with_running(conversations_owned(actor).filter(is_archived=False))
    items = [_item(chat, current) for chat in chats.order_by("-is_pinned", "-updated_at")[:HISTORY_LIMIT]]
    folders = sorted({item.folder for item in items if item.folder and not item.is_pinned}, key=str.casefold)
    groups = [HistoryGroup(PINNED, [item for item in items if item.is_pinned])]
    for folder in folders:
        inside = [item for item in items if item.folder == folder and not item.is_pinned]
        groups.append(HistoryGroup(folder, inside, is_folder=True))
    return [group for group in groups if group.items] + _by_age(
        [item for item in items if not item.folder and not item.is_pinned]
    )


def chats_page(actor: Actor, *, folder: str = "", is_archived: bool = False, before: UUID | None = None) -> ChatsPage:
    """Chats by the time of their last message, those before chat `before`; of one folder, if it is named."""
    chats = _with_running(conversations_owned(actor).filter(is_archived=is_archived))
    if folder:
        chats = chats.filter(folder=folder)
    if before is not None:
        last = conversations_owned(actor).filter(public_id=before).values_list("updated_at", "pk").first()
        if last is not None:
            chats = chats.filter(Q(updated_at__lt=last[0]) | Q(updated_at=last[0], pk__lt=last[1]))
    items = [_item(chat, None) for chat in chats.order_by("-updated_at", "-pk")[: PAGE_SIZE + 1]]
    older = str(items[PAGE_SIZE - 1].id) if len(items) > PAGE_SIZE else ""
    return ChatsPage(items[:PAGE_SIZE], older)


def chats_by_id(actor: Actor, ids: Sequence[UUID]) -> list[HistoryItem]:
    """Those of these chats that are the actor's, in this order."""
    found = {chat.public_id: chat for chat in _with_running(conversations_owned(actor).filter(public_id__in=ids))}
    return [_item(found[public_id], None) for public_id in ids if public_id in found]


def folders_list(actor: Actor) -> list[str]:
    """Names of folders with something in them, by name."""
    names = conversations_owned(actor).exclude(folder="").values_list("folder", flat=True).order_by("folder")
    return list(names.distinct()[:FOLDERS_MAX])


def conversation_url(public_id: UUID) -> str:
    return reverse("chat:conversation", args=[public_id])


def _with_running(chats: QuerySet[Conversation]) -> QuerySet[Conversation]:
    return chats.annotate(
        is_running=Exists(Generation.objects.filter(conversation=OuterRef("pk"), state__in=UNFINISHED))
    )


def _item(chat: Conversation, current: UUID | None) -> HistoryItem:
    return HistoryItem(
        id=chat.public_id,
        title=chat.title,
        url=conversation_url(chat.public_id),
        folder=chat.folder,
        updated_at=chat.updated_at,
        is_current=chat.public_id == current,
        is_running=chat.is_running,  # type: ignore[attr-defined]  # annotated in `_with_running`
        is_pinned=chat.is_pinned,
        is_archived=chat.is_archived,
    )


def _by_age(items: list[HistoryItem]) -> list[HistoryGroup]:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    groups: dict[str, list[HistoryItem]] = {}
    for item in items:
        age = midnight - item.updated_at
        label = next((label for limit, label in _AGES if age <= limit), "Older")
        groups.setdefault(label, []).append(item)
    return [HistoryGroup(label, inside) for label, inside in groups.items()]
