"""OpenAI's request and response shapes, as far as the site itself looks into them.

The site checks what it needs to route a request; the worker checks every other field, so that each rule is written once
and what is known but not supported is refused by name there. A field that nobody knows is ignored.

Source: OpenAI API reference, "Create chat completion" and "List models".
"""

from dataclasses import dataclass
from typing import Any

from apps.openai_api.errors import InvalidRequest
from apps.workers.selectors import OfferedModel

Json = dict[str, Any]

SITES_OWN = frozenset({"generation_id", "prompt_template", "priority"})
"""Fields of the protocol between site and worker that a program must not set; a priority would push in front."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request: which model, streamed or not, and what goes to the worker."""

    model: str
    is_stream: bool
    body: Json


def chat_request(data: object) -> ChatRequest:
    """Raises: InvalidRequest, naming the field."""
    if not isinstance(data, dict):
        raise InvalidRequest(reason="the body must be a JSON object")
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest(reason="'model' must be the name of a model, as text", param="model")
    if "\0" in model:
        raise InvalidRequest(reason="'model' must not hold a NUL character", param="model")
    stream = data.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest(reason="'stream' must be true or false", param="stream")
    if "messages" not in data:
        raise InvalidRequest(reason="'messages' is missing", param="messages", api_code="missing_required_parameter")
    return ChatRequest(model, bool(stream), {key: value for key, value in data.items() if key not in SITES_OWN})


def model_object(model: OfferedModel) -> Json:
    """One model; `context_length` and `state` are ours, beside OpenAI's fields."""
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": model.organisation or "organization",
        "context_length": model.context_length,
        "state": str(model.state),
    }
