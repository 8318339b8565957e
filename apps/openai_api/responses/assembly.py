"""From a chat completion's chunks to a response's output items and events. Pure: no clock, no random numbers.

The same chunks always make the same events with the same numbers: so a stream is taken up again by reading the worker's
chunks again, and nothing but those is kept for it.

Source: OpenAI API reference, "Streaming events".
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from apps.core.texts import clean_text
from apps.openai_api.models import ResponseState
from apps.openai_api.shapes import Json

_ENDS = {
    "length": (ResponseState.INCOMPLETE, "max_output_tokens"),
    "content_filter": (ResponseState.INCOMPLETE, "content_filter"),
    "cancelled": (ResponseState.CANCELLED, ""),
}
_TERMINAL = {
    ResponseState.COMPLETED: "response.completed",
    ResponseState.FAILED: "response.failed",
    ResponseState.INCOMPLETE: "response.incomplete",
    # OpenAI names no event for a response that was cancelled; its `status` says so.
    ResponseState.CANCELLED: "response.incomplete",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended. `usage` is None if the worker did not say."""

    state: ResponseState
    output: list[Json]
    usage: Json | None = None
    incomplete_reason: str = ""
    error: Json | None = None


@dataclass
class _Open:
    """The item that is being written. `part_index` of a message's content."""

    item: Json
    kind: str
    call_index: int | None = None
    texts: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Assembly:
    """Feed it the chunks of one choice in order."""

    def __init__(self, public_id: UUID, *, is_background: bool = False) -> None:
        self._public_id = public_id
        self._is_background = is_background
        self._n_events = 0
        self._items: list[Json] = []
        self._open: _Open | None = None
        self._finish_reason = ""
        self._usage: Json | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anything of the answer has come."""
        return bool(self._items or self._open)

    def opening(self, response: Json) -> list[Json]:
        """`response`: the object before anything has come."""
        queued = response | {"status": str(ResponseState.QUEUED)}
        begun = response | {"status": str(ResponseState.IN_PROGRESS)}
        events = [self._event("response.created", response=queued if self._is_background else begun)]
        if self._is_background:
            events.append(self._event("response.queued", response=queued))
        return [*events, self._event("response.in_progress", response=begun)]

    def feed(self, chunk: Json) -> list[Json]:
        """A chunk's events; of most one, a piece of text."""
        self._usage = chunk.get("usage") or self._usage
        events: list[Json] = []
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            if thought := delta.get("reasoning_content"):
                events += self._written("reasoning", clean_text(thought))
            if text := delta.get("content"):
                events += self._written("message", clean_text(text), (choice.get("logprobs") or {}).get("content"))
            for call in delta.get("tool_calls") or ():
                events += self._call(call)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
        return events

    def close(self, state: ResponseState | None = None, *, error: Json | None = None) -> tuple[list[Json], Outcome]:
        """Nothing more comes. Return the events that close what is open, and the outcome; `terminal` is left.

        `state`: how it ended, if that is not for the worker to say.
        """
        said, reason = _ENDS.get(self._finish_reason, (ResponseState.COMPLETED, ""))
        state = state or (said if error is None else ResponseState.FAILED)
        reason = reason if state is ResponseState.INCOMPLETE else ""
        is_whole = state is ResponseState.COMPLETED
        events = [] if self.has_begun or not is_whole else self._begin("message")
        events += self._closed("completed" if is_whole else "incomplete")
        return events, Outcome(state, self._items, usage_object(self._usage), reason, error)

    def terminal(self, state: ResponseState, response: Json) -> Json:
        return self._event(_TERMINAL[state], response=response)

    # --- Items --------------------------------------------------------------------------------------------------------

    def _written(self, kind: str, text: str, logprobs: list[Json] | None = None) -> list[Json]:
        events: list[Json] = []
        if self._open is None or self._open.kind != kind:
            events = self._closed("completed") + self._begin(kind)
        assert self._open is not None  # noqa: S101  # begun above
        self._open.texts.append(text)
        more: Json = {}
        if kind == "message":
            entries = [_logprob(entry) for entry in logprobs or ()]
            self._open.logprobs += entries
            more = {"logprobs": entries}
        name = "response.output_text.delta" if kind == "message" else "response.reasoning_text.delta"
        return [*events, self._of_part(name, delta=text, **more)]

    def _call(self, call: Json) -> list[Json]:
        function = call.get("function") or {}
        events: list[Json] = []
        if self._open is None or self._open.call_index != call.get("index", 0):
            events = self._closed("completed")
            given = {"call_id": clean_text(call.get("id") or ""), "name": clean_text(function.get("name") or "")}
            item = {"id": self._item_id("fc"), "type": "function_call", **given, "arguments": ""}
            self._open = _Open(item | {"status": "in_progress"}, "function_call", call.get("index", 0))
            events.append(self._of_item("response.output_item.added", item=self._open.item))
        if arguments := clean_text(function.get("arguments") or ""):
            assert self._open is not None  # noqa: S101  # begun above
            self._open.texts.append(arguments)
            events.append(self._of_part("response.function_call_arguments.delta", delta=arguments))
        return events

    def _begin(self, kind: str) -> list[Json]:
        if kind == "message":
            item = {"id": self._item_id("msg"), "type": kind, "role": "assistant", "content": []}
        else:
            item = {"id": self._item_id("rs"), "type": kind, "summary": [], "content": []}
        self._open = _Open(item | {"status": "in_progress"}, kind)
        return [
            self._of_item("response.output_item.added", item=self._open.item),
            self._of_part("response.content_part.added", part=_part(kind, "", [])),
        ]

    def _closed(self, status: str) -> list[Json]:
        """End the open item, if there is one."""
        if self._open is None:
            return []
        kind, text = self._open.kind, self._open.text
        if kind == "function_call":
            item = self._open.item | {"arguments": text, "status": status}
            name = self._open.item["name"]
            events = [self._of_part("response.function_call_arguments.done", arguments=text, name=name)]
        else:
            part = _part(kind, text, self._open.logprobs)
            item = self._open.item | {"content": [part], "status": status}
            more: Json = {"logprobs": self._open.logprobs} if kind == "message" else {}
            name = "response.output_text.done" if kind == "message" else "response.reasoning_text.done"
            events = [self._of_part(name, text=text, **more), self._of_part("response.content_part.done", part=part)]
        events.append(self._of_item("response.output_item.done", item=item))
        self._items.append(item)
        self._open = None
        return events

    def _item_id(self, mark: str) -> str:
        return f"{mark}_{uuid5(self._public_id, str(len(self._items))).hex}"

    # --- Events -------------------------------------------------------------------------------------------------------

    def _of_item(self, kind: str, /, **fields: Any) -> Json:
        return self._event(kind, output_index=len(self._items), **fields)

    def _of_part(self, kind: str, /, **fields: Any) -> Json:
        assert self._open is not None  # noqa: S101  # events of parts are made while the item is open
        place: Json = {"item_id": self._open.item["id"], "output_index": len(self._items)}
        if self._open.kind != "function_call":
            place["content_index"] = 0
        return self._event(kind, **place, **fields)

    def _event(self, kind: str, /, **fields: Any) -> Json:
        event = {"type": kind, "sequence_number": self._n_events, **fields}
        self._n_events += 1
        return event


def usage_object(usage: Json | None) -> Json | None:
    """A chat completion's usage, as a response tells it."""
    if not usage:
        return None
    return {
        "input_tokens": usage.get("prompt_tokens") or 0,
        "input_tokens_details": {"cached_tokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0},
        "output_tokens": usage.get("completion_tokens") or 0,
        "output_tokens_details": {
            "reasoning_tokens": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        },
        "total_tokens": usage.get("total_tokens") or 0,
    }


def _part(kind: str, text: str, logprobs: list[Json]) -> Json:
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _logprob(entry: Json) -> Json:
    shown = ("token", "logprob", "bytes")
    top = [{name: other.get(name) for name in shown} for other in entry.get("top_logprobs") or ()]
    return {**{name: entry.get(name) for name in shown}, "top_logprobs": top}
