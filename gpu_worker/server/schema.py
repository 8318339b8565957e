"""The body of a chat completion, checked: what this worker takes, refuses by name, and ignores.

Source: OpenAI API reference, "Create chat completion". It does not know models or tokens.
"""

import uuid
from dataclasses import dataclass

from gpu_worker.engine.request import MAX_LOGPROBS
from gpu_worker.errors import invalid, unsupported
from gpu_worker.images import ImageRefused, from_data_url
from gpu_worker.prompts.conversation import ConversationTemplate, TemplateUnknown, find_template
from gpu_worker.prompts.message import ImagePart, Message, ToolCall
from gpu_worker.protocol import MAX_IMAGES, Json
from gpu_worker.server.call import (
    Call,
    parse_include_usage,
    parse_max_tokens,
    parse_n,
    parse_sampling,
    refuse_unsupported,
)
from gpu_worker.server.fields import Fields, checked_text, kind
from gpu_worker.server.formats import parse_constraint, parse_name
from gpu_worker.server.tool_fields import ToolUse, parse_call_arguments, parse_tools

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
MAX_MESSAGES = 10_000

NEUTRAL: dict[str, tuple[object, ...]] = {
    "prompt_logprobs": (),
    "echo": (False,),
    "functions": ([],),
    "function_call": ("none",),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Parameters that OpenAI's API knows and this worker does not do, with the values that ask for nothing."""


@dataclass(frozen=True, slots=True)
class ChatCall(Call):
    """A checked chat completion request."""

    messages: list[Message]
    generation_id: str | None
    template: ConversationTemplate | None
    """The prompt format for this chat; None for what the worker uses for the model."""
    tools: ToolUse | None
    continues: bool
    """The last message is the beginning of the answer, to be gone on with."""


def parse_chat(body: Json) -> ChatCall:
    """Raises: WorkerError (invalid_request, unsupported_parameter) that names the field."""
    fields = Fields(body)
    refuse_unsupported(fields, NEUTRAL)
    call = ChatCall(
        model=fields.text("model"),
        n=parse_n(fields),
        max_tokens=parse_max_tokens(fields, ("max_completion_tokens", "max_tokens")),
        sampling=parse_sampling(fields) | {"logprobs": _logprobs(fields)},
        constraint=parse_constraint(fields),
        stream=fields.flag("stream"),
        include_usage=parse_include_usage(fields),
        messages=parse_messages(fields.get("messages")),
        generation_id=_generation_id(fields),
        template=_template(fields),
        tools=parse_tools(fields),
        continues=fields.flag("continue_final_message"),
    )
    if call.continues and call.constraint is not None:
        raise invalid("continue_final_message", f"it cannot be combined with {call.constraint.param}")
    if call.tools is not None and call.constraint is not None:
        raise invalid(call.constraint.param, "it cannot be combined with tools that may be called")
    call.check()
    return call


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A checked tokenize request: a chat, or plain text."""

    model: str
    content: list[Message] | str
    template: ConversationTemplate | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = True
    tools: ToolUse | None = None


def parse_tokenize(body: Json) -> TokenizeCall:
    """`{model, messages}` or `{model, prompt}`. Raises: WorkerError that names the field.

    Source: vLLM, TokenizeChatRequest and TokenizeCompletionRequest.
    """
    fields = Fields(body)
    if fields.get("prompt") is not None and fields.get("messages") is not None:
        raise invalid("prompt", "give either messages or prompt")
    model = fields.text("model")
    if fields.get("prompt") is not None:
        _refuse_chat_fields(fields)
        return TokenizeCall(model, fields.text("prompt"), add_special_tokens=fields.flag("add_special_tokens", True))
    if fields.flag("add_special_tokens"):
        raise unsupported("add_special_tokens", "the special tokens of a chat are those of its template")
    return TokenizeCall(
        model,
        parse_messages(fields.get("messages")),
        template=_template(fields),
        add_generation_prompt=fields.flag("add_generation_prompt", True),
        tools=parse_tools(fields),
    )


def _refuse_chat_fields(fields: Fields) -> None:
    for name in ("prompt_template", "add_generation_prompt", "tools"):
        if fields.get(name) is not None:
            raise invalid(name, "it is allowed only with messages")


def _template(fields: Fields) -> ConversationTemplate | None:
    if fields.get("prompt_template") is None:
        return None
    try:
        return find_template(fields.text("prompt_template"))
    except TemplateUnknown as exc:
        raise invalid("prompt_template", str(exc)) from exc


def parse_messages(value: object) -> list[Message]:
    """Raises: WorkerError that names the message."""
    if not isinstance(value, list) or not value:
        raise invalid("messages", f"expected a list of at least one message, found {kind(value) if value else 'none'}")
    if len(value) > MAX_MESSAGES:
        raise invalid("messages", f"at most {MAX_MESSAGES} messages, found {len(value)}")
    messages = [_message(item, f"messages[{index}]") for index, item in enumerate(value)]
    n_images = sum(len(message.images) for message in messages)
    if n_images > MAX_IMAGES:
        raise invalid("messages", f"at most {MAX_IMAGES} images in all, found {n_images}")
    return messages


def _message(item: object, path: str) -> Message:
    if not isinstance(item, dict):
        raise invalid(path, f"expected an object, found {kind(item)}")
    fields = Fields(item, path)
    role = fields.text("role")
    if role == "function":
        raise unsupported(fields.name("role"), "it is the older form of the role tool")
    if role not in ROLES:
        raise invalid(fields.name("role"), f"expected one of {', '.join(ROLES)}, found {role!r}")
    for name in ("function_call", "audio", "refusal"):
        if fields.get(name):
            raise unsupported(fields.name(name), "only text, images and tool_calls are supported")
    calls = _tool_calls(fields, role)
    no_content = calls and fields.get("content") is None
    parts = [""] if no_content else _content(fields.get("content"), fields.name("content"), has_images=role == "user")
    call_id = fields.text("tool_call_id") if role == "tool" else None
    content = "\n".join(part for part in parts if isinstance(part, str))
    has_images = any(isinstance(part, ImagePart) for part in parts)
    return Message(ROLES[role], content, calls, call_id, tuple(parts) if has_images else ())


def _tool_calls(fields: Fields, role: str) -> tuple[ToolCall, ...]:
    value = fields.get("tool_calls")
    if value is None or value == []:
        return ()
    if role != "assistant" or not isinstance(value, list):
        raise invalid(fields.name("tool_calls"), "expected a list, and only in messages of the assistant")
    return tuple(_tool_call(item, f"{fields.name('tool_calls')}[{index}]") for index, item in enumerate(value))


def _tool_call(item: object, path: str) -> ToolCall:
    if not isinstance(item, dict):
        raise invalid(path, f"expected an object, found {kind(item)}")
    call = Fields(item, path)
    function = item.get("function")
    if item.get("type", "function") != "function" or not isinstance(function, dict):
        raise invalid(path, "expected a call of the type function")
    inner = Fields(function, call.name("function"))
    arguments = parse_call_arguments(function.get("arguments"), inner.name("arguments"))
    return ToolCall(call.text("id"), parse_name(inner), arguments)


def _content(value: object, path: str, *, has_images: bool) -> "list[str | ImagePart]":
    """`has_images`: images may be among the parts."""
    if isinstance(value, str):
        return [checked_text(value, path)]
    if not isinstance(value, list) or not value:
        raise invalid(path, f"expected a text or a list of parts, found {kind(value)}")
    return [_part(item, f"{path}[{index}]", has_images) for index, item in enumerate(value)]


def _part(item: object, path: str, has_images: bool) -> str | ImagePart:
    if not isinstance(item, dict):
        raise invalid(path, f"expected an object, found {kind(item)}")
    fields = Fields(item, path)
    part_type = fields.text("type")
    if part_type == "image_url" and has_images:
        return _image(fields.get("image_url"), fields.name("image_url"))
    if part_type != "text":
        wanted = "text, and of a user image_url," if part_type == "image_url" else "text and image_url"
        raise unsupported(fields.name("type"), f"only parts of type {wanted} are supported, found {part_type!r}")
    return fields.text("text")


def _image(value: object, path: str) -> ImagePart:
    if not isinstance(value, dict):
        raise invalid(path, f"expected an object with a url, found {kind(value)}")
    fields = Fields(value, path)
    if fields.get("detail") not in (None, "auto"):
        raise unsupported(fields.name("detail"), "the model decides how closely it looks; leave it out")
    try:
        return ImagePart(from_data_url(fields.text("url")), fields.name("url"))
    except ImageRefused as exc:
        raise invalid(fields.name("url"), str(exc)) from exc


def _logprobs(fields: Fields) -> int | None:
    """How many of the likeliest tokens to report; None for no log probabilities at all."""
    n_top = fields.integer("top_logprobs")
    if not fields.flag("logprobs"):
        if n_top:
            raise invalid("top_logprobs", "it is allowed only with logprobs: true")
        return None
    if n_top is not None and not 0 <= n_top <= MAX_LOGPROBS:
        raise invalid("top_logprobs", f"expected a number from 0 to {MAX_LOGPROBS}, found {kind(n_top)}")
    return n_top or 0


def _generation_id(fields: Fields) -> str | None:
    if fields.get("generation_id") is None:
        return None
    try:
        return str(uuid.UUID(fields.text("generation_id")))
    except ValueError as exc:
        raise invalid("generation_id", "expected a UUID") from exc
