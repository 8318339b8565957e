"""A response as programs see it. Pure.

Source: OpenAI API reference, "The response object".
"""

from datetime import datetime
from uuid import UUID

from apps.core.errors import NotFound
from apps.openai_api.models import ResponseState, StoredResponse
from apps.openai_api.selectors import RESPONSE_MARK
from apps.openai_api.shapes import Json
from apps.openai_api.stored_shapes import list_object

_REPEATED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What of a request a response repeats, and what it says where the request said nothing."""


def repeated(body: Json) -> Json:
    """What the response to this request repeats of it."""
    given = {name: body[name] for name in _REPEATED if body.get(name) is not None}
    fixed = {name: _REPEATED[name] for name in ("reasoning", "service_tier", "truncation")}
    text = {"format": (body.get("text") or {}).get("format") or {"type": "text"}}
    return _REPEATED | given | fixed | {"text": text, "tools": [_tool(tool) for tool in given.get("tools", [])]}


def response_id(public_id: UUID) -> str:
    return f"{RESPONSE_MARK}{public_id.hex}"


def response_object(stored: StoredResponse) -> Json:
    reason, is_complete = stored.incomplete_reason, stored.state == ResponseState.COMPLETED
    return {
        "id": response_id(stored.public_id),
        "object": "response",
        "created_at": _unix(stored.created_at),
        "completed_at": _unix(stored.ended_at) if is_complete else None,
        "model": stored.model_name,
        "background": stored.is_background,
        "status": str(stored.state),
        "output": stored.output,
        "usage": stored.usage,
        "error": stored.error,
        "incomplete_details": {"reason": reason} if reason else None,
        **stored.repeated,
    }


def opening_object(stored: StoredResponse) -> Json:
    """The response before anything had come; its `status` is left to the event."""
    nothing: Json = {"completed_at": None, "output": [], "usage": None, "error": None, "incomplete_details": None}
    return response_object(stored) | nothing


def item_list(items: list[Json], *, after: str | None, limit: int) -> Json:
    """A page of items. Raises: NotFound for an `after` that is not among them.

    A program may send an item again that the conversation has already. One id is one item, or pages would go round.
    """
    items = list({item["id"]: item for item in items}.values())
    ids = [item["id"] for item in items]
    if after:
        if after not in ids:
            raise NotFound
        items = items[ids.index(after) + 1 :]
    return list_object(items[:limit], has_more=len(items) > limit)


def _tool(tool: Json) -> Json:
    return {"description": None, "parameters": None, "strict": False} | {
        name: value for name, value in tool.items() if value is not None
    }


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
