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
    def usage(self) -> dict[str, Any] | None:
        usage: dict[str, Any] | None = self.body.get("usage")
        return usage


HEARTBEAT = WorkerEvent(number=0, data="", body={})
"""The worker is there and has nothing to say yet."""
