"""From OpenAI's chat request to Anthropic's. Pure. What has no counterpart there is refused by name.

Source: Anthropic, "Messages API" (request body), "Tool use", "Vision", "Structured outputs".
"""

import re
from typing import Any

from apps.core.texts import clean_json, strict_json
from apps.workers.providers.options import invalid, refused

Json = dict[str, Any]

_LABEL = "Anthropic"
_DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=\s]+)")
_SYSTEM = ("system", "developer")
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def body_of(options: Json) -> Json:
    """All of the body but model, length and stream. `options` are those that it takes. Raises: WorkerRefused."""
    system, messages = _messages(options.get("messages"))
    body: Json = {"messages": messages}
    if system:
        body["system"] = system
    for name in ("temperature", "top_p", "top_k"):
        if name in options:
            body[name] = options[name]
    temperature = options.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise refused("temperature", f"{_LABEL}, which serves this model, knows 0 to 1")
    if stop := options.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if schema := _schema(options.get("response_format")):
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body | _tools(options)


def _schema(response_format: object) -> object:
    if not isinstance(response_format, dict) or response_format.get("type") == "text":
        return None
    form = response_format.get("json_schema")
    schema = form.get("schema") if isinstance(form, dict) else None
    if response_format.get("type") != "json_schema" or not isinstance(schema, dict):
        raise refused("response_format", f"{_LABEL}, which serves this model, knows a json_schema with a schema only")
    return schema


def _tools(options: Json) -> Json:
    tools = options.get("tools")
    if not tools:
        return {}
    if not isinstance(tools, list):
        raise invalid("tools", "expected a list")
    body: Json = {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]}
    choice = _choice(options.get("tool_choice", "auto"))
    if options.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return body | ({} if choice == {"type": "auto"} else {"tool_choice": choice})


def _tool(tool: object, path: str) -> Json:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise refused(path, f"{_LABEL}, which serves this model, is given functions with a name only")
    found: Json = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    if function.get("description"):
        found["description"] = function["description"]
    if function.get("strict"):
        found["strict"] = True
    return found


def _choice(choice: object) -> Json:
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    function = choice.get("function") if isinstance(choice, dict) else None
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return {"type": "tool", "name": function["name"]}
    raise refused("tool_choice", f"{_LABEL}, which serves this model, knows auto, none, required and one function")


def _messages(messages: object) -> tuple[str, list[Json]]:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "expected a list of at least one")
    system: list[str] = []
    turns: list[Json] = []
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        if not isinstance(message, dict):
            raise invalid(path, "expected an object")
        if message.get("name") is not None and message.get("role") != "tool":
            raise refused(f"{path}.name", f"{_LABEL}, which serves this model, does not support it")
        if message.get("role") in _SYSTEM:
            if turns:
                raise refused(f"{path}.role", f"{_LABEL}, which serves this model, takes instructions first only")
            system.append("".join(part["text"] for part in _parts(message.get("content"), path, has_images=False)))
            continue
        role, blocks = _turn(message, path)
        # The results of several calls are one turn there.
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if turns and turns[-1]["role"] == "assistant":
        raise refused("messages", f"{_LABEL}, which serves this model, would go on with the last answer, not give one")
    return "\n\n".join(system), turns


def _turn(message: Json, path: str) -> tuple[str, list[Json]]:
    content = message.get("content")
    match message.get("role"):
        case "user":
            return "user", _parts(content, path)
        case "assistant":
            said = [] if content is None or content == "" else _parts(content, path, has_images=False)
            calls = message.get("tool_calls") or []
            if not isinstance(calls, list):
                raise invalid(f"{path}.tool_calls", "expected a list")
            return "assistant", said + [_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(calls)]
        case "tool":
            result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": ""}
            if content:
                result["content"] = content if isinstance(content, str) else _parts(content, path)
            return "user", [result]
        case role:
            raise refused(f"{path}.role", f"{_LABEL}, which serves this model, knows no {role!r}")


def _call(call: object, path: str) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise invalid(path, "expected the call of a function")
    try:
        arguments = clean_json(strict_json(function.get("arguments") or "{}"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise invalid(f"{path}.function.arguments", "expected a JSON object as text") from exc
    if not isinstance(arguments, dict):
        raise invalid(f"{path}.function.arguments", "expected a JSON object as text")
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments}


def _parts(content: object, path: str, *, has_images: bool = True) -> list[Json]:
    """Blocks of a message's content. A list of them is checked one by one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise invalid(f"{path}.content", "expected a text or a list of parts")
    return [_part(part, f"{path}.content[{i}]", has_images) for i, part in enumerate(content)]


def _part(part: object, path: str, has_images: bool) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if isinstance(part, dict) and kind == "image_url" and has_images:
        return _image(part.get("image_url"), path)
    raise refused(f"{path}.type", f"{_LABEL}, which serves this model, takes no {kind!r} here")


def _image(image: object, path: str) -> Json:
    url = image.get("url") if isinstance(image, dict) else None
    if isinstance(image, dict) and image.get("detail") not in (None, "auto"):
        raise refused(f"{path}.image_url.detail", f"{_LABEL}, which serves this model, chooses it itself")
    found = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise refused(
            f"{path}.image_url.url", "send the image itself, as data:image/png;base64,... (or jpeg, gif, webp)"
        )
    return {"type": "image", "source": {"type": "base64", "media_type": found[1], "data": found[2]}}
