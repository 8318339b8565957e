"""OpenAI's request and response shapes, as far as the site itself looks into them.

The site checks what it needs to route a request; the worker checks every other field, so that each rule is written once
and what is known but not supported is refused by name there. A field that nobody knows is ignored.

Source: OpenAI API reference, "Create chat completion", "Create completion", "Create embeddings" and "List models".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.catalog.models import Kind
from apps.core.texts import is_encodable
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.known_fields import end_user, ignored, refuse_unsupported
from apps.workers.selectors import OfferedModel

Json = dict[str, Any]

SITES_OWN = frozenset({"generation_id", "prompt_template", "priority"})
"""Fields of the protocol between site and worker that a program must not set; a priority would push in front."""

MAX_TOKEN_CHECKS = 100


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to a model: which one, streamed or not, and what goes to the worker."""

    model: str
    is_stream: bool
    body: Json
    ignored_fields: tuple[str, ...]
    end_user: str | None


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """One item of FastChat's token check."""

    model: str
    prompt: str
    max_tokens: int


def model_request(data: object, *, needs: tuple[str, ...], known: frozenset[str]) -> ModelRequest:
    """`needs`: fields that hold what the model shall work on; one of them must be there.
    `known`: the fields that mean something at this door.

    Raises: InvalidRequest, naming the field.
    """
    body = json_object(data)
    refuse_unsupported(body, known)
    model = model_name(body)
    is_stream = flag(body, "stream")
    if not any(name in body for name in needs):
        missing = " or ".join(f"'{name}'" for name in needs)
        raise InvalidRequest(reason=f"{missing} is missing", param=needs[0], api_code="missing_required_parameter")
    return ModelRequest(
        model=model,
        is_stream=is_stream,
        body={key: value for key, value in body.items() if key not in SITES_OWN},
        ignored_fields=ignored(body, known),
        end_user=end_user(body, known),
    )


def engine_request(data: object, engine: str) -> Json:
    """A body whose model is named by the address. Raises: InvalidRequest, also when it names another one itself."""
    body = json_object(data)
    if body.get("model", engine) != engine:
        raise InvalidRequest(
            reason=f"the address says {engine!r}, so 'model' must say the same or nothing", param="model"
        )
    return body | {"model": engine}


def token_checks(data: object) -> list[TokenCheck]:
    """Raises: InvalidRequest, naming the field."""
    items = json_object(data).get("prompts")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_TOKEN_CHECKS:
        raise InvalidRequest(reason=f"'prompts' must be a list of 1 to {MAX_TOKEN_CHECKS} items", param="prompts")
    return [_token_check(item, f"prompts[{index}]") for index, item in enumerate(items)]


def _token_check(item: object, path: str) -> TokenCheck:
    fields = json_object(item, path)
    prompt, max_tokens = fields.get("prompt"), fields.get("max_tokens")
    if not isinstance(prompt, str):
        raise InvalidRequest(reason=f"'{path}.prompt' must be a text", param=f"{path}.prompt")
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0:
        raise InvalidRequest(reason=f"'{path}.max_tokens' must be a number from 0", param=f"{path}.max_tokens")
    return TokenCheck(model_name(fields, path), prompt, max_tokens)


def json_object(data: object, path: str = "the body") -> Json:
    """Raises: InvalidRequest."""
    if not isinstance(data, dict):
        param = None if path == "the body" else path
        raise InvalidRequest(reason=f"{path} must be a JSON object", param=param)
    return data


def flag(fields: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """Raises: InvalidRequest."""
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRequest(reason=f"{name!r} must be true or false", param=name)
    return value


def query_flag(query: Mapping[str, str], name: str) -> bool:
    """A parameter of an address. Raises: InvalidRequest."""
    given = query.get(name, "false").lower()
    if given not in ("true", "false"):
        raise InvalidRequest(reason=f"{name!r} must be true or false", param=name)
    return given == "true"


def model_name(fields: Mapping[str, Any], path: str = "") -> str:
    """Raises: InvalidRequest."""
    param, model = f"{path}.model" if path else "model", fields.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest(reason=f"'{param}' must be the name of a model, as text", param=param)
    if "\0" in model or not is_encodable(model):
        raise InvalidRequest(reason=f"'{param}' must hold characters only, no NUL and no half of a pair", param=param)
    return model


def model_object(model: OfferedModel) -> Json:
    """One model; what follows `owned_by` is ours, beside OpenAI's fields."""
    output = "embedding" if model.kind is Kind.EMBEDDING else "text"
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": model.organisation or "organization",
        "context_length": model.context_length,
        "modalities": {"input": ["text", "image"] if model.sees_images else ["text"], "output": [output]},
        "state": str(model.state),
    }
