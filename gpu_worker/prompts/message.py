"""One turn of a chat, as every template reads it."""

from dataclasses import dataclass
from typing import Any

from gpu_worker.images import ImageFile


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant made in an earlier turn. `arguments` is the object itself, as templates want it."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image within a message. `param`: its place in the request, for refusals."""

    file: ImageFile
    param: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `role` is system, user, assistant or tool."""

    role: str
    content: str
    """All its text."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """Of which call this is the result; with the role tool only."""
    parts: tuple[str | ImagePart, ...] = ()
    """Text and images in their order, if there are images."""

    @property
    def images(self) -> list[ImagePart]:
        return [part for part in self.parts if isinstance(part, ImagePart)]
