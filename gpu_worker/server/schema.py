"""The body of a chat completion, checked: what this worker takes, refuses by name, and ignores.

Source: OpenAI API reference, "Create chat completion". It does not know models or tokens.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from gpu_worker.engine.request import SamplingParams
from gpu_worker.errors import invalid, unsupported
from gpu_worker.prompts.chat import Message
from gpu_worker.protocol import Json
from gpu_worker.server.fields import Fields, checked_text, kind

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
MAX_MESSAGES = 10_000
NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")

NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "function_call": ("none",),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "response_format": ({"type": "text"},),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Parameters that OpenAI's API knows and this worker does not do, with the values that ask for nothing."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A checked chat completion request. `sampling` holds what the request says; the rest is up to the model."""

    model: str
    messages: list[Message]
    max_tokens: int | None
    sampling: dict[str, Any]
    stream: bool
    include_usage: bool
    generation_id: str | None

    def params(self, n_free: int, defaults: dict[str, Any]) -> SamplingParams:
        """With the model's `defaults`, and `max_tokens` cut to what fits the context. Raises: WorkerError."""
        wanted = n_free if self.max_tokens is None else min(self.max_tokens, n_free)
        return SamplingParams(max_tokens=wanted, **(defaults | self.sampling))


def parse_chat(body: Json) -> ChatCall:
    """Raises: WorkerError (invalid_request, unsupported_parameter) that names the field."""
    fields = Fields(body)
    _refuse_unsupported(fields)
    call = ChatCall(
        model=fields.text("model"),
        messages=parse_messages(fields.get("messages")),
        max_tokens=_max_tokens(fields),
        sampling=_sampling(fields),
        stream=fields.flag("stream"),
        include_usage=_include_usage(fields),
        generation_id=_generation_id(fields),
    )
    call.params(1, {})  # out-of-range values are refused before any text is rendered
    return call


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A checked tokenize request: a chat, or plain text."""

    model: str
    content: list[Message] | str


def parse_tokenize(body: Json) -> TokenizeCall:
    """`{model, messages}` or `{model, prompt}`. Raises: WorkerError that names the field."""
    fields = Fields(body)
    if fields.get("prompt") is not None and fields.get("messages") is not None:
        raise invalid("prompt", "give either messages or prompt")
    if fields.get("prompt") is not None:
        return TokenizeCall(fields.text("model"), fields.text("prompt"))
    return TokenizeCall(fields.text("model"), parse_messages(fields.get("messages")))


def parse_messages(value: object) -> list[Message]:
    """Raises: WorkerError that names the message."""
    if not isinstance(value, list) or not value:
        raise invalid("messages", f"expected a list of at least one message, found {kind(value) if value else 'none'}")
    if len(value) > MAX_MESSAGES:
        raise invalid("messages", f"at most {MAX_MESSAGES} messages, found {len(value)}")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(value)]


def _message(item: object, path: str) -> Message:
    if not isinstance(item, dict):
        raise invalid(path, f"expected an object, found {kind(item)}")
    fields = Fields(item, path)
    role = fields.text("role")
    if role in ("tool", "function"):
        raise unsupported(fields.name("role"), "tool calls are not supported")
    if role not in ROLES:
        raise invalid(fields.name("role"), f"expected one of {', '.join(ROLES)}, found {role!r}")
    for name in ("tool_calls", "function_call", "audio", "refusal"):
        if fields.get(name):
            raise unsupported(fields.name(name), "only text is supported")
    return Message(ROLES[role], _content(fields.get("content"), fields.name("content")))


def _content(value: object, path: str) -> str:
    if isinstance(value, str):
        return checked_text(value, path)
    if not isinstance(value, list) or not value:
        raise invalid(path, f"expected a text or a list of text parts, found {kind(value)}")
    return "\n".join(_part(item, f"{path}[{index}]") for index, item in enumerate(value))


def _part(item: object, path: str) -> str:
    if not isinstance(item, dict):
        raise invalid(path, f"expected an object, found {kind(item)}")
    fields = Fields(item, path)
    part_type = fields.text("type")
    if part_type != "text":
        raise unsupported(fields.name("type"), f"only parts of type text are supported, found {part_type!r}")
    return fields.text("text")


def _refuse_unsupported(fields: Fields) -> None:
    for name, neutral in NEUTRAL.items():
        value = fields.get(name)
        if value is not None and not any(value == harmless for harmless in neutral):
            raise unsupported(name, "this worker does not support it")


def _max_tokens(fields: Fields) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.integer(name)
        if value is not None:
            if value < 1:
                raise invalid(name, f"expected at least 1, found {value}")
            return value
    return None


def _sampling(fields: Fields) -> dict[str, Any]:
    top_k = fields.integer("top_k")
    given = {name: fields.number(name) for name in NUMBERS} | {
        "top_k": 0 if top_k == -1 else top_k,  # vLLM's word for all
        "seed": fields.integer("seed"),
    }
    return {name: value for name, value in given.items() if value is not None} | {
        "logit_bias": _logit_bias(fields.get("logit_bias")),
        "stop": _stop(fields.get("stop")),
        "ignore_eos": fields.flag("ignore_eos"),
    }


def _logit_bias(value: object) -> tuple[tuple[int, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise invalid("logit_bias", f"expected an object of token ids and numbers, found {kind(value)}")
    fields = Fields(value, "logit_bias")
    for token in value:
        if not (token.isascii() and token.isdecimal()) or len(token) > 9:
            raise invalid("logit_bias", f"expected token ids, found {token[:40]!r}")
    return tuple((int(token), float(fields.number(token) or 0.0)) for token in value)


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list):
        raise invalid("stop", f"expected a text or a list of texts, found {kind(value)}")
    for stop in stops:
        if not isinstance(stop, str):
            raise invalid("stop", f"expected texts, found {kind(stop)}")
    return tuple(checked_text(stop, "stop") for stop in stops)


def _include_usage(fields: Fields) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise invalid("stream_options", f"expected an object, found {kind(options)}")
    if not fields.flag("stream"):
        raise invalid("stream_options", "it is allowed only with stream: true")
    return Fields(options, "stream_options").flag("include_usage")


def _generation_id(fields: Fields) -> str | None:
    if fields.get("generation_id") is None:
        return None
    try:
        return str(uuid.UUID(fields.text("generation_id")))
    except ValueError as exc:
        raise invalid("generation_id", "expected a UUID") from exc
