"""Server-sent events from bytes as they arrive. Pure; it knows the three kinds of lines that a worker sends.

Source: WHATWG HTML, section 9.2 "Server-sent events"; a worker ends lines with a line feed and sends one data line per
event, so carriage returns and joined data lines are not looked for.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 4 * 1024 * 1024


class EventTooLarge(ValueError):
    """An event does not end: the other side does not speak server-sent events."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event. A heartbeat comment has no data."""

    number: int
    data: str


class SseParser:
    """Feed it bytes in any pieces; it returns the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[SseEvent]:
        """Raises: EventTooLarge; ValueError when a number is none or the text is not UTF-8."""
        *whole, self._rest = (self._rest + piece).split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return [_event(block) for block in whole]


def _event(block: bytes) -> SseEvent:
    number, data = 0, b""
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].strip()
        elif line.startswith(b"id:"):
            number = int(line[3:])
    return SseEvent(number, data.decode())
