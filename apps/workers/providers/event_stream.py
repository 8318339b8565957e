"""Server-sent events of servers that are not ours, from bytes in any pieces. Pure.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream": lines end with CR, LF or both, and data lines of one
event are joined. `apps.workers.sse` reads our own workers, which need less.
"""

from apps.workers.sse import MAX_EVENT_BYTES, EventTooLarge


class EventStream:
    """Feed it bytes; it returns the data of the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._n_bytes = 0
        """Of the data so far, with the line ends that will join it."""

    def feed(self, piece: bytes) -> list[str]:
        """Raises: EventTooLarge; ValueError when the text is not UTF-8."""
        text = self._rest + piece
        # A last CR may be half of a CR LF.
        held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        found = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + self._n_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return found

    def _take(self, line: bytes) -> str | None:
        if not line and self._data:
            data, self._data, self._n_bytes = b"\n".join(self._data), [], 0
            return data.decode()
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._n_bytes += len(self._data[-1]) + 1
        return None
