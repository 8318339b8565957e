"""This site's own format: whole trees, written and read. Pure.

    {"format": "fastchat-site.chats", "version": 1, "chats": [{"title", "messages": [{"id", "parent", ...}], ...}]}

Ids in a file only tie its messages together; stored messages get new ones.
"""

from collections.abc import Iterator
from typing import Any

from apps.conversations.chat_settings import ChatSettings, settings_fields, settings_parse
from apps.conversations.errors import ImportRefused, SettingRefused
from apps.conversations.exchange.drafts import (
    ENDS,
    FOLDER_MAX_CHARS,
    Draft,
    DraftMessage,
    list_of,
    name_of,
    object_of,
    prompt_of,
    text_of,
    time_of,
    title_of,
)

FORMAT = "fastchat-site.chats"
VERSION = 1


def is_ours(data: object) -> bool:
    return isinstance(data, dict) and data.get("format") == FORMAT


def read(data: dict[str, Any]) -> Iterator[Draft]:
    """Raises: ImportRefused."""
    if data.get("version") != VERSION:
        raise ImportRefused(reason=f"it is of version {str(data.get('version'))[:20]}, and this site reads {VERSION}")
    for chat in list_of(data.get("chats"), "'chats'"):
        yield _chat(object_of(chat, "a chat"))


def _chat(chat: dict[str, Any]) -> Draft:
    draft = Draft(
        title=title_of(chat.get("title")),
        created_at=time_of(chat.get("created_at")),
        system_prompt=prompt_of(chat.get("system_prompt")),
        sampling=_sampling(chat.get("sampling")),
        folder=title_of(chat.get("folder"))[:FOLDER_MAX_CHARS].rstrip(),
        is_pinned=chat.get("is_pinned") is True,
        is_archived=chat.get("is_archived") is True,
    )
    places: dict[str, int] = {}
    for item in list_of(chat.get("messages"), "'messages' of a chat"):
        message = object_of(item, "a message")
        places[text_of(message.get("id"), "the id of a message")] = draft.add(
            DraftMessage(
                parent=_parent(message.get("parent"), places),
                role=text_of(message.get("role"), "the role of a message"),
                content=text_of(message.get("content"), "the content of a message"),
                model=name_of(message.get("model")),
                created_at=time_of(message.get("created_at")),
                end=_end(message),
            )
        )
    active = chat.get("active")
    draft.active = places.get(active) if isinstance(active, str) else None
    return draft


def _end(message: dict[str, Any]) -> str:
    end = message.get("end")
    return end if message.get("role") == "assistant" and end in ENDS else ""


def _parent(value: object, places: dict[str, int]) -> int | None:
    if value is None:
        return None
    parent = places.get(value) if isinstance(value, str) else None
    if parent is None:
        raise ImportRefused(reason="a message answers one that does not come before it")
    return parent


def _sampling(value: object) -> dict[str, Any]:
    """By the same rules as the form's."""
    given = object_of(value or {}, "'sampling' of a chat")
    try:
        stop = [text_of(text, "a text to stop at") for text in list_of(given.get("stop") or [], "'stop'")]
        fields = settings_fields(ChatSettings("", {**given, "stop": stop}))
        return settings_parse(fields).sampling
    except SettingRefused as exc:
        raise ImportRefused(reason=exc.message.rstrip(".")) from exc
