"""Keeping chats in order: pin, archive, put into a folder, delete; one or many at once."""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from apps.accounts.actors import Actor
from apps.conversations.errors import ChatNotFound, TooManyAtOnce
from apps.conversations.selectors.conversations import conversations_owned
from apps.conversations.services.conversations import conversation_delete
from apps.core.texts import clean_text
from apps.holds.errors import Held

FOLDER_MAX_CHARS = 80
AT_ONCE_MAX = 100


class Change(StrEnum):
    """What is done with chats."""

    PIN = "pin"
    UNPIN = "unpin"
    ARCHIVE = "archive"
    RESTORE = "restore"
    MOVE = "move"
    DELETE = "delete"


def conversations_change(
    *, actor: Actor, conversation_ids: Sequence[UUID], change: Change, folder: str = ""
) -> list[UUID]:
    """Do this with those of the chats that are there, and return which. `MOVE` puts them into `folder`; empty: none.

    The caller has let the folder's name pass the gate. Raises: TooManyAtOnce; ChatNotFound: none of them is there;
    Held: one of them may not be deleted, the others are.
    """
    found = chats_found(actor, conversation_ids)
    owned = conversations_owned(actor).filter(public_id__in=found)
    match change:
        case Change.PIN | Change.UNPIN:
            owned.update(is_pinned=change is Change.PIN)
        case Change.ARCHIVE:
            owned.update(is_archived=True, is_pinned=False)
        case Change.RESTORE:
            owned.update(is_archived=False)
        case Change.MOVE:
            owned.update(folder=folder_checked(folder))
        case Change.DELETE:
            return _deleted(actor, found)
        case _:
            assert_never(change)
    return found


def _deleted(actor: Actor, conversation_ids: Sequence[UUID]) -> list[UUID]:
    """Those that were. Raises: Held, when the others are, and not because another tab was quicker."""
    deleted, held = [], None
    for conversation_id in conversation_ids:
        try:
            conversation_delete(actor=actor, conversation_id=conversation_id)
        except ChatNotFound:
            continue
        except Held as exc:
            held = exc
        else:
            deleted.append(conversation_id)
    if held is not None:
        raise held
    return deleted


def chats_found(actor: Actor, conversation_ids: Sequence[UUID]) -> list[UUID]:
    """Those that are there. Raises: TooManyAtOnce, ChatNotFound: none of them is."""
    if len(conversation_ids) > AT_ONCE_MAX:
        raise TooManyAtOnce(limit=AT_ONCE_MAX)
    owned = conversations_owned(actor).filter(public_id__in=conversation_ids)
    found = list(owned.values_list("public_id", flat=True))
    if not found:
        raise ChatNotFound
    return found


def folder_checked(name: str) -> str:
    """As it is stored."""
    return " ".join(clean_text(name).split())[:FOLDER_MAX_CHARS].rstrip()
