"""From Anthropic's answers to OpenAI's: whole ones, and streams event by event. Pure.

Source: Anthropic, "Messages API" (response body, `stop_reason`, `usage`) and "Streaming messages" (event types).
"""

import json
import time
from typing import Any

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


def whole(answer: Json, model: str) -> Json:
    """A chat completion. Raises: KeyError, TypeError, ValueError, AttributeError for what is no answer."""
    texts, thoughts, calls = [], [], []
    for block in answer["content"]:
        match block["type"]:
            case "text":
                texts.append(block["text"])
            case "thinking":
                thoughts.append(block["thinking"])
            case "tool_use":
                calls.append(_call(block["id"], block["name"], json.dumps(block["input"])))
    message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return {
        "id": answer["id"],
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
        self.is_finished = False
        """Its last event has come; the stream has no other mark of its end."""

    def read(self, event: Json) -> list[Json]:
        """Chunks to pass on. Raises: KeyError, TypeError, ValueError, AttributeError for what is no event."""
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._envelope = {"id": message["id"], **self._envelope}
                self._tell(message.get("usage"))
                return [self._chunk({"role": "assistant", "content": ""})]
            case "content_block_start":
                return self._block_start(event["index"], event["content_block"])
            case "content_block_delta":
                return self._block_delta(event["index"], event["delta"])
            case "content_block_stop":
                return self._block_stop(event["index"])
            case "message_delta":
                self._tell(event.get("usage"))
                return [self._chunk({}, _finish(event["delta"]["stop_reason"]))]
            case "message_stop":
                self.is_finished = True
        return []  # pings, and what may be added to the API

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
            return [self._chunk({"tool_calls": [{"index": number, **_call(block["id"], block["name"], "")}]})]
        return [self._chunk({"content": block["text"]})] if block.get("text") else []

    def _block_delta(self, index: int, delta: Json) -> list[Json]:
        match delta["type"]:
            case "text_delta":
                return [self._chunk({"content": delta["text"]})]
            case "thinking_delta":
                return [self._chunk({"reasoning_content": delta["thinking"]})]
            case "input_json_delta" if delta["partial_json"] and index in self._calls:
                self._speechless.discard(index)
                return [self._arguments(index, delta["partial_json"])]
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


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _finish(reason: str | None) -> str:
    return _FINISH.get(reason or "end_turn", "stop")


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
