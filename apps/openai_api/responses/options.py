"""The fields of a request for a response, and which of a chat completion they are. Pure; it knows no items.

The worker checks values, as it does for chats. Here is checked what has another shape there.

Source: OpenAI API reference, "Create a model response", and the guide "Migrate to the Responses API".
"""

import re
from collections.abc import Mapping

from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.known_fields import refuse_all_but
from apps.openai_api.shapes import Json, json_object

LOGPROBS = "message.output_text.logprobs"
INCLUDABLE = frozenset({LOGPROBS, "reasoning.encrypted_content"})
"""The second asks for thoughts in a cipher. They are told openly here, so there is nothing of the kind to tell."""

NEUTRAL: dict[str, tuple[object, ...]] = {
    "access_programs": ({},),
    "background_options": ({},),
    "context_management": ([],),
    "conversation": (),
    "image": ({},),
    "max_tool_calls": (),
    "moderation": (),
    "prompt": (),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
}
"""Fields that OpenAI's API knows and this one does not do, with the values that ask for nothing."""

_IN_OBJECTS: dict[str, dict[str, tuple[object, ...]]] = {
    "reasoning": {
        "effort": (),
        "summary": (),
        "generate_summary": (),
        "mode": (),
        "context": (),
        "encrypted_content": (),
    },
    "stream_options": {"include_obfuscation": (False,)},
    "text": {"verbosity": ()},
}

_AS_IN_CHATS = frozenset(
    {
        "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "seed", "stop", "stop_token_ids", "logit_bias",
        "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "min_tokens", "ignore_eos",
        "guided_json", "guided_regex", "guided_choice", "guided_grammar",
    }
)  # fmt: skip

KNOWN = _AS_IN_CHATS | NEUTRAL.keys() | _IN_OBJECTS.keys() | {
    "model", "input", "instructions", "max_output_tokens", "metadata", "previous_response_id", "store", "stream",
    "background", "include", "tools", "tool_choice", "user", "safety_identifier",
}  # fmt: skip
"""`prompt_cache_key` and its kin are not among them: they are hints, and who sends one is told that it is ignored."""

_OF_A_FUNCTION = frozenset({"name", "description", "parameters", "strict"})


def chat_options(body: Json) -> Json:
    """Everything of a chat completion's body but its model and messages. Raises: InvalidRequest, naming the field."""
    refuse_all_but(body, NEUTRAL)
    for name, neutral in _IN_OBJECTS.items():
        _refuse_inside(body, name, neutral)
    options: Json = {name: body[name] for name in _AS_IN_CHATS if body.get(name) is not None}
    if (longest := body.get("max_output_tokens")) is not None:
        options["max_completion_tokens"] = longest
    if LOGPROBS in included(body.get("include")) or body.get("top_logprobs"):
        options["logprobs"] = True
    if (layout := _response_format(body)) is not None:
        options["response_format"] = layout
    if (tools := body.get("tools")) is not None:
        options["tools"] = [_chat_tool(tool, f"tools[{index}]") for index, tool in enumerate(_listed(tools, "tools"))]
    if (choice := body.get("tool_choice")) is not None:
        options["tool_choice"] = _chat_tool_choice(choice)
    return options


def included(value: object) -> frozenset[str]:
    """What `include` asks for. Raises: InvalidRequest."""
    names = _listed([] if value is None else value, "include")
    for index, name in enumerate(names):
        if not isinstance(name, str) or name not in INCLUDABLE:
            raise unsupported(f"include[{index}]", "there is nothing of this kind here to include")
    return frozenset(map(str, names))


_RENAMED = (
    (re.compile(r"^max_(completion_)?tokens$"), "max_output_tokens"),
    (re.compile(r"^response_format(\.json_schema)?"), "text.format"),
    (re.compile(r"^(tools\[\d+\])\.function"), r"\1"),
    (re.compile(r"^logprobs$"), "include"),
)


def param_here(param: str) -> str:
    """The name here of a chat completion's field. Messages are not looked at: they were made of items."""
    for pattern, name in _RENAMED:
        if pattern.match(param):
            return pattern.sub(name, param)
    return param


def _refuse_inside(body: Json, name: str, neutral: Mapping[str, tuple[object, ...]]) -> None:
    if body.get(name) is None:
        return
    fields = json_object(body[name], name)
    refuse_all_but(
        {f"{name}.{key}": value for key, value in fields.items()},
        {f"{name}.{key}": harmless for key, harmless in neutral.items()},
    )


def _response_format(body: Json) -> Json | None:
    if body.get("text") is None or body["text"].get("format") is None:
        return None
    layout = json_object(body["text"]["format"], "text.format")
    if layout.get("type") != "json_schema":
        return layout
    return {"type": "json_schema", "json_schema": {key: value for key, value in layout.items() if key != "type"}}


def _chat_tool(value: object, path: str) -> Json:
    tool = json_object(value, path)
    if tool.get("type") != "function":
        raise unsupported(f"{path}.type", "only functions of your own can be called here, 'function'")
    for name in tool.keys() - _OF_A_FUNCTION - {"type"}:
        if tool[name] is not None:
            raise unsupported(f"{path}.{name}", "of a function, only its name, description, parameters and strict")
    function = {name: tool[name] for name in _OF_A_FUNCTION if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _chat_tool_choice(value: object) -> object:
    if isinstance(value, str):
        return value
    choice = json_object(value, "tool_choice")
    if choice.get("type") != "function":
        raise unsupported("tool_choice.type", "a choice is 'none', 'auto', 'required', or a function by its name")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _listed(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise InvalidRequest(reason=f"{name!r} must be a list", param=name)
    return value
