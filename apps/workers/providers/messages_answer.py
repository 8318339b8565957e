"""From Anthropic's answers to OpenAI's: whole ones, and streams event by event. Pure.

Source: Anthropic, "Messages API" (response body, `stop_reason`, `usage`) and "Streaming messages" (event types).
"""

import json
import time
from typing import Any

from apps.workers.providers.reading import fields, items, text, text_or_none, whole_number
from apps.workers.providers.usage import count_of, usage_of

Json = dict[str, Any]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def whole(told: object, model: str) -> Json:
    """A chat completion. Raises: Misread, KeyError."""
    answer = fields(told, "the answer")
    texts, thoughts, calls = [], [], []
    for block in items(answer["content"], "content"):
        match fields(block, "a block")["type"]:
            case "text":
                texts.append(text(block["text"], "text"))
            case "thinking":
                thoughts.append(text(block["thinking"], "thinking"))
            case "tool_use":
                calls.append(_call(block, json.dumps(fields(block["input"], "input"))))
    message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return {
        "id": text(answer["id"], "id"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "message": message, "finish_reason": _finish(answer["stop_reason"]), "logprobs": None}
        ],
        "usage": _usage(answer.get("usage")),
    }


class EventReader:
    """The events of one stream, one after the other."""

    def __init__(self, model: str) -> None:
        self._envelope: Json = {"object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        self._usage: Json = {}
        self._calls: dict[int, int] = {}
        """From the index of a block to that of its call."""
        self._speechless: set[int] = set()
        """Calls of which no argument has come."""
        self.is_over = False
        """Its last event has come; the stream has no other mark of its end."""

    def read(self, told: object) -> list[Json]:
        """Chunks to pass on. Raises: Misread, KeyError for what is no event."""
        event = fields(told, "an event")
        match event["type"]:
            case "message_start":
                message = fields(event["message"], "message")
                self._envelope = {"id": text(message["id"], "id"), **self._envelope}
                self._tell(message.get("usage"))
                return [self._chunk({"role": "assistant", "content": ""})]
            case "content_block_start":
                return self._block_start(_index(event), fields(event["content_block"], "content_block"))
            case "content_block_delta":
                return self._block_delta(_index(event), fields(event["delta"], "delta"))
            case "content_block_stop":
                return self._block_stop(_index(event))
            case "message_delta":
                self._tell(event.get("usage"))
                return [self._chunk({}, _finish(fields(event["delta"], "delta")["stop_reason"]))]
            case "message_stop":
                self.is_over = True
        return []  # pings, and what may be added to the API

    @property
    def is_finished(self) -> bool:
        return self.is_over

    def end(self) -> list[Json]:
        """What comes after the last event."""
        usage = _usage(self._usage)
        return [] if usage is None else [self._envelope | {"choices": [], "usage": usage}]

    def _tell(self, usage: object) -> None:
        """Its numbers are sums so far; those that it leaves out stay as they were."""
        if isinstance(usage, dict):
            self._usage |= {name: n for name, n in usage.items() if n is not None}

    def _block_start(self, index: int, block: Json) -> list[Json]:
        if block["type"] == "tool_use":
            number = self._calls[index] = len(self._calls)
            self._speechless.add(index)
            return [self._chunk({"tool_calls": [{"index": number, **_call(block, "")}]})]
        return [self._chunk({"content": text(block["text"], "text")})] if block.get("text") else []

    def _block_delta(self, index: int, delta: Json) -> list[Json]:
        match delta["type"]:
            case "text_delta":
                return [self._chunk({"content": text(delta["text"], "text")})]
            case "thinking_delta":
                return [self._chunk({"reasoning_content": text(delta["thinking"], "thinking")})]
            case "input_json_delta" if delta["partial_json"] and index in self._calls:
                self._speechless.discard(index)
                return [self._arguments(index, text(delta["partial_json"], "partial_json"))]
        return []  # signatures and citations

    def _block_stop(self, index: int) -> list[Json]:
        if index not in self._speechless:
            return []
        self._speechless.discard(index)
        return [self._arguments(index, "{}")]  # a call without arguments is still JSON

    def _arguments(self, index: int, piece: str) -> Json:
        return self._chunk({"tool_calls": [{"index": self._calls[index], "function": {"arguments": piece}}]})

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        return self._envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _index(event: Json) -> int:
    return whole_number(event["index"], "index", missing=0)


def _call(block: Json, arguments: str) -> Json:
    function = {"name": text(block["name"], "name"), "arguments": arguments}
    return {"id": text(block["id"], "id"), "type": "function", "function": function}


def _finish(reason: object) -> str:
    return _FINISH.get(text_or_none(reason, "stop_reason") or "end_turn", "stop")


def _usage(told: object) -> Json | None:
    """Tokens that were read from the cache or written to it are a part of the prompt in OpenAI's terms."""
    if not isinstance(told, dict):
        return None
    n_cached, n_written = (
        count_of(told.get(name)) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens")
    )
    n_read, n_completion = count_of(told.get("input_tokens")), count_of(told.get("output_tokens"))
    if n_read is None and n_completion is None:
        return None
    n_prompt = (n_read or 0) + n_written + n_cached
    sums = {"prompt_tokens": n_prompt, "completion_tokens": n_completion or 0}
    return usage_of(sums | {"prompt_tokens_details": {"cached_tokens": n_cached}})
