"""One choice of an answer in OpenAI's language, whole or a piece of a stream, as the site relies on it. Pure.

What some servers document otherwise is read: content in parts, thoughts under another name, arguments as an object. Any
other value of an odd type is refused.

Source: OpenAI API reference, "The chat completion object" and its chunk; Mistral, "Chat completion API", `ThinkChunk`,
`ReferenceChunk`, `FunctionCall`, `FinishReason`; Groq, "Reasoning", and Ollama, "OpenAI compatibility": `reasoning`.
"""

import json
from typing import Any

from apps.workers.providers.reading import (
    Misread,
    fields,
    items,
    number_or_none,
    shallow,
    text,
    text_or_none,
    whole_number,
)

Json = dict[str, Any]

MAX_REASON = 20
"""Of those that are known the longest has 14 characters."""

_LENGTH = {"model_length", "max_tokens", "model_context_window_exceeded"}


def choice_of(told: object, position: int) -> Json:
    """`position`: its number if it does not tell one. Raises: Misread."""
    choice = fields(told, "a choice")
    shallow(choice, "a choice")
    kept: Json = {"index": whole_number(choice.get("index"), "index", missing=position)}
    if "delta" in choice:
        kept["delta"] = _message({} if choice["delta"] is None else choice["delta"], "delta")
    if "message" in choice:
        kept["message"] = _message(choice["message"], "message")
    if "text" in choice:
        kept["text"] = text_or_none(choice["text"], "text") or ""
    if "finish_reason" in choice:
        kept["finish_reason"] = _reason(choice["finish_reason"])
    if "logprobs" in choice:
        kept["logprobs"] = _logprobs(choice["logprobs"])
    return kept


def _reason(told: object) -> str | None:
    """Why it ended; nothing said is not ended. Raises: Misread."""
    reason = text_or_none(told, "finish_reason") or None
    if reason in _LENGTH:
        return "length"
    return "stop" if reason is not None and len(reason) > MAX_REASON else reason


def _message(told: object, place: str) -> Json:
    message = dict(fields(told, place))
    if isinstance(message.get("reasoning"), str) and not message.get("reasoning_content"):
        message["reasoning_content"] = message.pop("reasoning")
    for name in ("role", "refusal", "reasoning_content"):
        text_or_none(message.get(name), f"{place}.{name}")
    if isinstance(message.get("content"), list):
        message |= _of_parts(message["content"], f"{place}.content")
    text_or_none(message.get("content"), f"{place}.content")
    if message.get("tool_calls") is not None:
        calls = items(message["tool_calls"], f"{place}.tool_calls")
        message["tool_calls"] = [
            _call(call, f"{place}.tool_calls[{i}]", position=i if place == "delta" else None)
            for i, call in enumerate(calls)
        ]
    return message


def _of_parts(parts: list[Any], place: str) -> Json:
    """Text and thoughts of a content in parts. References say where a text is from, and are no part of it."""
    texts: list[str] = []
    thoughts: list[str] = []
    for i, told in enumerate(parts):
        part = fields(told, f"{place}[{i}]")
        match part.get("type"):
            case "text":
                texts.append(text(part.get("text"), f"{place}[{i}].text"))
            case "thinking":
                thoughts.append(_thought(part.get("thinking"), f"{place}[{i}].thinking"))
            case "reference":
                continue
            case _:
                raise Misread(f"{place}[{i}] is neither text nor thinking")
    read: Json = {"content": "".join(texts) if texts or not thoughts else None}
    return read | ({"reasoning_content": "".join(thoughts)} if thoughts else {})


def _thought(told: object, place: str) -> str:
    if isinstance(told, str):
        return told
    parts = [fields(part, place) for part in items(told, place)]
    return "".join(text(part.get("text"), f"{place}.text") for part in parts if part.get("type") == "text")


def _call(told: object, place: str, *, position: int | None) -> Json:
    """A call of a tool, or a piece of one, which has a number: its `position` if it tells none.

    What else it holds belongs into the next request, as with Gemini.
    """
    call = dict(fields(told, place))
    if position is not None or call.get("index") is not None:
        call["index"] = whole_number(call.get("index"), f"{place}.index", missing=position or 0)
    for name in ("id", "type"):
        text_or_none(call.get(name), f"{place}.{name}")
    if call.get("function") is not None:
        call["function"] = _function(fields(call["function"], f"{place}.function"), f"{place}.function")
    return call


def _function(told: Json, place: str) -> Json:
    text_or_none(told.get("name"), f"{place}.name")
    arguments = told.get("arguments")
    if isinstance(arguments, dict):
        return told | {"arguments": json.dumps(arguments)}
    text_or_none(arguments, f"{place}.arguments")
    return told


def _logprobs(told: object) -> Json | None:
    """Those of a chat are read on; those of a text completion, which have other fields, are passed on as they are."""
    if told is None:
        return None
    logprobs = dict(fields(told, "logprobs"))
    if logprobs.get("content") is not None:
        entries = items(logprobs["content"], "logprobs.content")
        logprobs["content"] = [_entry(entry, "logprobs.content") for entry in entries]
    return logprobs


def _entry(told: object, place: str) -> Json:
    entry = fields(told, place)
    text(entry.get("token"), f"{place}.token")
    number_or_none(entry.get("logprob"), f"{place}.logprob")
    top = [fields(other, f"{place}.top_logprobs") for other in items(entry.get("top_logprobs"), place)]
    return entry | {"top_logprobs": top}
