"""ChatGPT's export: `conversations.json`, a list of trees of nodes. Pure.

Source: the files themselves ("Settings, Data controls, Export data"), as of 2026; OpenAI documents no format.
"""

from collections.abc import Iterator
from typing import Any

from apps.conversations.errors import ImportRefused
from apps.conversations.exchange.drafts import (
    Draft,
    DraftMessage,
    list_of,
    name_of,
    object_of,
    prompt_of,
    time_of,
    title_of,
)
from apps.core.texts import clean_text


def is_chatgpt(data: object) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "mapping" in data[0]


def read(data: list[Any]) -> Iterator[Draft]:
    """Raises: ImportRefused."""
    for item in data:
        chat = object_of(item, "a conversation")
        yield _chat(chat, object_of(chat.get("mapping"), "'mapping' of a conversation"))


def _chat(chat: dict[str, Any], nodes: dict[str, Any]) -> Draft:
    draft = Draft(title=title_of(chat.get("title")), created_at=time_of(chat.get("create_time")))
    places: dict[str, int | None] = {}
    """Of each node its message's place, or that of the nearest ancestor that has one."""
    for name, node in _parents_first(nodes):
        above = places.get(node["parent"]) if isinstance(node.get("parent"), str) else None
        places[name] = _add(draft, node.get("message"), above)
    current = chat.get("current_node")
    draft.active = places.get(current) if isinstance(current, str) else None
    return draft


def _parents_first(nodes: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each node after its parent, siblings in their order. Raises: ImportRefused: they go round in a circle."""
    children: dict[str | None, list[str]] = {}
    for name, node in nodes.items():
        parent = object_of(node, "a node of a conversation").get("parent")
        children.setdefault(parent if isinstance(parent, str) and parent in nodes else None, []).append(name)
    n_seen, waiting = 0, children.get(None, [])[::-1]
    while waiting:
        name = waiting.pop()
        n_seen += 1
        yield name, nodes[name]
        waiting += children.get(name, [])[::-1]
    if n_seen < len(nodes):
        raise ImportRefused(reason="messages of a conversation answer each other in a circle")


def _add(draft: Draft, value: object, above: int | None) -> int | None:
    """Add the message of a node, if it has a text; return where its children hang."""
    if not isinstance(value, dict):
        return above
    author = value.get("author")
    role = author.get("role") if isinstance(author, dict) else None
    text = _text(value.get("content"))
    if role == "system":
        draft.system_prompt = draft.system_prompt or prompt_of(text)
        return above
    if role not in ("user", "assistant") or not text.strip():
        draft.n_left_out += 1
        return above
    metadata = value.get("metadata")
    model = metadata.get("model_slug") if isinstance(metadata, dict) else None
    return draft.add(DraftMessage(above, role, text, name_of(model), time_of(value.get("create_time"))))


def _text(value: object) -> str:
    """Of the kinds of content that are words."""
    if not isinstance(value, dict):
        return ""
    match value.get("content_type"):
        case "text" | "multimodal_text":
            parts = list_of(value.get("parts") or [], "'parts' of a message")
            return clean_text("\n\n".join(part for part in parts if isinstance(part, str)))
        case "code":
            code = value.get("text")
            return clean_text(f"```\n{code}\n```") if isinstance(code, str) and code.strip() else ""
        case _:
            return ""
