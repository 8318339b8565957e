"""What arrives from a worker while it generates, parsed once."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """One server-sent event of a generation.

    `data` is the JSON text as the worker sent it, for passing on untouched; `body` is the same, parsed.
    """

    number: int
    data: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The piece of the answer in this event; empty for role, finish and usage events."""
        for choice in self.body.get("choices") or ():
            return (choice.get("delta") or {}).get("content") or ""
        return ""

    @property
    def finish_reason(self) -> str | None:
        for choice in self.body.get("choices") or ():
            reason: str | None = choice.get("finish_reason")
            return reason
        return None

    @property
    def n_pieces(self) -> int:
        """How many of its choices bring something: text, a thought or a piece of a call."""
        return sum(map(_brings_something, self.body.get("choices") or ()))

    @property
    def usage(self) -> dict[str, Any] | None:
        usage: dict[str, Any] | None = self.body.get("usage")
        return usage


def _brings_something(choice: dict[str, Any]) -> bool:
    """Of a chat or of a text completion."""
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or any(delta.get(name) for name in ("content", "reasoning_content", "tool_calls")))


HEARTBEAT = WorkerEvent(number=0, data="", body={})
"""The worker is there and has nothing to say yet."""
