"""The items of a conversation: what programs send, as it is kept and shown, and as a chat's messages. Pure.

Source: OpenAI API reference, "Create a model response", `input`; "List input items".
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from apps.core.texts import clean_text
from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.shapes import Json, json_object

MAX_ITEMS = 10_000
"""As many as a worker takes messages."""

ROLES = ("user", "assistant", "system", "developer")
_OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_UNSENDABLE = {"input_file": "files cannot be read by the models here", "input_audio": "no model here hears"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A chat's messages, and of each the field of the request from which it came."""

    messages: list[Json]
    origins: list[str]


def checked_items(value: object) -> list[Json]:
    """`input` as items that can be kept: each has an id, and contents are lists of parts.

    Raises: InvalidRequest, naming the item.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS:
        raise InvalidRequest(reason=f"'input' must be a text or a list of 1 to {MAX_ITEMS} items", param="input")
    return [_item(item, f"input[{index}]") for index, item in enumerate(value)]


def prompt_of(items: Iterable[Json], *, instructions: str | None = None, context: Iterable[Json] = ()) -> Prompt:
    """A chat of the instructions, what was said before, and the new items."""
    prompt = Prompt([], [])
    if instructions:
        _add(prompt, {"role": "system", "content": instructions}, "instructions")
    for item in context:
        _add_item(prompt, item, "previous_response_id")
    for index, item in enumerate(items):
        _add_item(prompt, item, f"input[{index}]")
    return prompt


def _item(value: object, path: str) -> Json:
    item = json_object(value, path)
    kind = item.get("type") or "message"
    match kind:
        case "message":
            return _message(item, path)
        case "function_call":
            texts = {name: _text(item, name, path) for name in ("call_id", "name", "arguments")}
            return {"id": _id(item, "fc"), "type": kind, "status": "completed", **texts}
        case "function_call_output":
            kept = {"call_id": _text(item, "call_id", path), "output": _output(item, path)}
            return {"id": _id(item, "fco"), "type": kind, "status": "completed", **kept}
        case "reasoning":
            return {"summary": []} | item | {"id": _id(item, "rs")}
        case "item_reference":
            raise unsupported(f"{path}.type", "send the item itself, or the 'previous_response_id' of its response")
        case _:
            raise unsupported(f"{path}.type", "items are messages, function calls and their outputs, and reasoning")


def _message(item: Json, path: str) -> Json:
    role = item.get("role")
    if role not in ROLES:
        raise InvalidRequest(reason=f"'{path}.role' must be one of {', '.join(ROLES)}", param=f"{path}.role")
    content = item.get("content")
    own = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, str):
        content = [{"type": own, "text": content}]
    if not isinstance(content, list) or not content:
        reason = f"'{path}.content' must be a text or a list of parts"
        raise InvalidRequest(reason=reason, param=f"{path}.content")
    parts = [_part(part, f"{path}.content[{index}]", role) for index, part in enumerate(content)]
    return {"id": _id(item, "msg"), "type": "message", "status": "completed", "role": role, "content": parts}


def _part(value: object, path: str, role: str) -> Json:
    part = json_object(value, path)
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return _own_text(_text(part, "text", path), role)
        case "refusal" if role == "assistant":
            return {"type": "refusal", "refusal": _text(part, "refusal", path)}
        case "input_image" if role == "user":
            if part.get("image_url") is None:
                raise unsupported(f"{path}.file_id", "send the image in 'image_url', as a data URL")
            detail = part.get("detail") or "auto"
            return {"type": "input_image", "image_url": _text(part, "image_url", path), "detail": detail}
        case kind:
            why = _UNSENDABLE.get(str(kind), "expected input_text, input_image of a user, or output_text")
            raise unsupported(f"{path}.type", why)


def _own_text(text: str, role: str) -> Json:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _output(item: Json, path: str) -> str:
    """What a function returned, as one text."""
    output = item.get("output")
    if not isinstance(output, list):
        return _text(item, "output", path)
    parts = [_part(part, f"{path}.output[{index}]", "user") for index, part in enumerate(output)]
    for index, part in enumerate(parts):
        if part["type"] != "input_text":
            raise unsupported(f"{path}.output[{index}].type", "functions return text")
    return "\n".join(part["text"] for part in parts)


def _text(fields: Json, name: str, path: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(reason=f"'{path}.{name}' must be a text", param=f"{path}.{name}")
    return clean_text(value)


def _id(item: Json, mark: str) -> str:
    given = item.get("id")
    return given if isinstance(given, str) and _OWN_ID.fullmatch(given) else f"{mark}_{uuid.uuid4().hex}"


# --- As messages ------------------------------------------------------------------------------------------------------


def _add(prompt: Prompt, message: Json, origin: str) -> None:
    prompt.messages.append(message)
    prompt.origins.append(origin)


def _add_item(prompt: Prompt, item: Json, origin: str) -> None:
    match item["type"]:
        case "message":
            _add(prompt, {"role": item["role"], "content": _chat_content(item["content"])}, origin)
        case "function_call" if item.get("status") != "incomplete":  # half of a call is none
            _add_call(prompt, item, origin)
        case "function_call_output":
            answer = {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
            _add(prompt, answer, origin)


def _add_call(prompt: Prompt, item: Json, origin: str) -> None:
    """Text and calls of one turn are one message of the assistant."""
    function = {"name": item["name"], "arguments": item["arguments"]}
    call = {"id": item["call_id"], "type": "function", "function": function}
    last = prompt.messages[-1] if prompt.messages else {}
    if last.get("role") == "assistant":
        last.setdefault("tool_calls", []).append(call)
    else:
        _add(prompt, {"role": "assistant", "content": None, "tool_calls": [call]}, origin)


def _chat_content(parts: list[Json]) -> str | list[Json]:
    if all(part["type"] != "input_image" for part in parts):
        texts = [_text_of(part) for part in parts]
        return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    return [_chat_part(part) for part in parts]


def _chat_part(part: Json) -> Json:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}
    return {"type": "text", "text": _text_of(part)}


def _text_of(part: Json) -> str:
    text: str = part["refusal"] if part["type"] == "refusal" else part["text"]
    return text
