"""A request for a response, checked, and the chat that it becomes. Pure.

Source: OpenAI API reference, "Create a model response".
"""

from dataclasses import dataclass, replace

from apps.accounts.actors import Actor
from apps.accounts.models import Endpoint
from apps.core.texts import clean_json
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.known_fields import end_user, ignored
from apps.openai_api.responses.items import Prompt, checked_items
from apps.openai_api.responses.options import KNOWN, chat_options, param_here
from apps.openai_api.responses.shapes import repeated
from apps.openai_api.shapes import Json, flag, json_object, model_name
from apps.openai_api.stored_shapes import metadata_checked
from apps.workers.call import Call
from apps.workers.errors import WorkerRefused


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """`options`: of the chat, besides its messages. `repeated`: what the response says again of its request.
    `body`: the request itself, of which all others are made.
    """

    body: Json
    model: str
    is_stream: bool
    is_background: bool
    is_kept: bool
    previous_id: str | None
    items: list[Json]
    options: Json
    repeated: Json
    ignored_fields: tuple[str, ...]
    end_user: str | None


def response_request(data: object) -> ResponseRequest:
    """Raises: InvalidRequest, naming the field."""
    body = json_object(data)
    options = chat_options(body)
    is_kept, is_background = flag(body, "store", default=True), flag(body, "background")
    if is_background and not is_kept:
        raise InvalidRequest(reason="'background' needs 'store', to be asked for later", param="background")
    for name in ("instructions", "previous_response_id"):
        if body.get(name) is not None and not isinstance(body[name], str):
            raise InvalidRequest(reason=f"{name!r} must be a text", param=name)
    if body.get("input") is None:
        raise InvalidRequest(reason="'input' is missing", param="input", api_code="missing_required_parameter")
    metadata_checked(body.get("metadata"))
    wanted = ResponseRequest(
        body=body,
        model=model_name(body),
        is_stream=flag(body, "stream"),
        is_background=is_background,
        is_kept=is_kept,
        previous_id=body.get("previous_response_id"),
        items=checked_items(body["input"]),
        options=options,
        repeated=repeated(body),
        ignored_fields=ignored(body, KNOWN),
        end_user=end_user(body, KNOWN),
    )
    return _storable(wanted)


def chat_call(actor: Actor, model: str, prompt: Prompt, options: Json) -> Call:
    """The chat completion that answers it; its usage is told in any case."""
    body = options | {"messages": prompt.messages, "stream_options": {"include_usage": True}}
    return Call(actor, model, body, asked_at=Endpoint.RESPONSES)


def refused_here(refusal: WorkerRefused, prompt: Prompt) -> WorkerRefused:
    """What a worker found wrong with the chat, in words of the request for the response."""
    if refusal.param is None:
        return refusal
    param = _param_here(refusal.param, prompt.origins)
    reason = str(refusal.details["reason"]).replace(refusal.param, param, 1)
    return type(refusal)(reason=reason, worker_code=refusal.worker_code, param=param)


def _param_here(param: str, origins: list[str]) -> str:
    if not param.startswith("messages"):
        return param_here(param)
    number, _, rest = param.removeprefix("messages[").partition("]")
    if not number.isdecimal() or int(number) >= len(origins):
        return "input"
    origin = origins[int(number)]
    return origin + rest if origin.startswith("input") else origin


def _storable(wanted: ResponseRequest) -> ResponseRequest:
    """Without what the database cannot keep, also if it is not kept: both are answered alike."""
    try:
        return replace(
            wanted,
            body=clean_json(wanted.body),
            items=clean_json(wanted.items),
            options=clean_json(wanted.options),
            repeated=clean_json(wanted.repeated),
        )
    except RecursionError as exc:
        raise InvalidRequest(reason="the body is nested too deep") from exc
