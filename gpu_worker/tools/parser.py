"""Text that a model writes, into content and calls, piece by piece. Pure.

However the text is cut into chunks, content and calls are the same, and nothing is lost: what is no well-formed call
to a declared function stays content. Only markers, and whitespace beside a call, are dropped.
"""

from collections.abc import Collection
from enum import StrEnum

from gpu_worker.tools.call_reader import Arguments, CallBegins, CallReader, Content, Piece, Stage
from gpu_worker.tools.formats import ToolFormat


class Place(StrEnum):
    """Where in the answer the reader stands."""

    TEXT = "text"
    BEFORE_CALL = "before_call"
    """Behind a marker or separator: a call should begin."""
    CALL = "call"
    AFTER_CALL = "after_call"


class ToolCallParser:
    """One answer. `feed` what the model writes, then `flush` once."""

    def __init__(self, tool_format: ToolFormat, names: Collection[str], *, max_calls: int | None = None) -> None:
        """`names`: the declared functions. `max_calls`: what looks like a further call stays content."""
        self._format = tool_format
        self._names = names
        self._max_calls = max_calls
        self._place = Place.TEXT
        self._buffer = ""
        """Text that nothing is decided about."""
        self._lead = ""
        """What stands before a possible call: dropped if it is one, shown if not."""
        self._is_beginning = True
        self._in_list = False
        self._reader = CallReader(names)
        self.n_calls = 0

    def feed(self, text: str) -> list[Piece]:
        self._buffer += text
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return _joined(pieces)

    def flush(self) -> list[Piece]:
        """The end of the answer: what is held was no call after all."""
        match self._place:
            case Place.TEXT:
                held = self._buffer
            case Place.BEFORE_CALL:
                held = self._lead + self._buffer
            case Place.CALL:
                held = self._lead + self._reader.text
                held = held if self._reader.stage is Stage.HEAD or held.strip() else ""
            case Place.AFTER_CALL:
                held = self._buffer if self._buffer.strip() else ""
        self._buffer = self._lead = ""
        self._place = Place.TEXT
        return _joined([Content(held)])

    def _step(self, pieces: list[Piece]) -> bool:
        """Decide about as much of the buffer as can be; False: it takes more text."""
        match self._place:
            case Place.TEXT:
                return self._text(pieces)
            case Place.BEFORE_CALL:
                return self._before_call(pieces)
            case Place.CALL:
                return self._call(pieces)
            case Place.AFTER_CALL:
                return self._after_call()

    def _text(self, pieces: list[Piece]) -> bool:
        if self._is_full:
            return self._show(pieces, len(self._buffer))
        if self._is_beginning and self._format.is_bare:
            stripped = self._buffer.lstrip()
            if not stripped:
                return False
            if stripped[0] == "{":
                return self._expect_call(len(self._buffer) - len(stripped))
        self._is_beginning = False
        marker = self._format.opening
        at = self._buffer.find(marker) if marker else -1
        if at >= 0:
            n_shown = len(self._buffer[:at].rstrip())
            self._show(pieces, n_shown)
            return self._expect_call(at - n_shown + len(marker))
        safe = self._buffer[: len(self._buffer) - _n_begun_marker(self._buffer, marker)]
        return self._show(pieces, len(safe.rstrip()) if marker else len(safe))

    @property
    def _is_full(self) -> bool:
        return self._max_calls is not None and self.n_calls >= self._max_calls

    def _show(self, pieces: list[Piece], n_characters: int) -> bool:
        """Always False: the rest of the buffer, if any, is held back."""
        pieces.append(Content(self._buffer[:n_characters]))
        self._buffer = self._buffer[n_characters:]
        return False

    def _expect_call(self, n_lead: int) -> bool:
        """The next characters stand before a call."""
        self._lead, self._buffer = self._lead + self._buffer[:n_lead], self._buffer[n_lead:]
        self._is_beginning = False
        self._place = Place.BEFORE_CALL
        return True

    def _before_call(self, pieces: list[Piece]) -> bool:
        stripped = self._buffer.lstrip()
        if not stripped:
            return False
        n_space = len(self._buffer) - len(stripped)
        if self._format.is_list and not self._in_list and stripped[0] == "[":
            self._in_list = True
            return self._expect_call(n_space + 1)
        if stripped[0] == "{":
            self._lead, self._buffer = self._lead + self._buffer[:n_space], stripped
            self._reader = CallReader(self._names)
            self._place = Place.CALL
            return True
        return self._refuse(pieces, self._lead)

    def _call(self, pieces: list[Piece]) -> bool:
        news = self._reader.feed(self._buffer)
        self._buffer = self._reader.rest
        if news:
            self._lead = ""
            self.n_calls += sum(isinstance(piece, CallBegins) for piece in news)
        pieces += news
        if self._reader.stage is Stage.REFUSED:
            return self._refuse(pieces, self._lead + self._reader.text)
        if self._reader.stage is Stage.CALLED:
            self._place = Place.AFTER_CALL
            return True
        return False

    @property
    def _separator(self) -> str | None:
        """What announces one more call."""
        if self._in_list:
            return ","
        return ";" if self._format.is_bare else None

    def _refuse(self, pieces: list[Piece], text: str) -> bool:
        """`text` was no call; what follows is looked at afresh."""
        pieces.append(Content(text))
        self._lead = ""
        self._in_list = False
        self._place = Place.TEXT
        return True

    def _after_call(self) -> bool:
        stripped = self._buffer.lstrip()
        markers = [marker for marker in self._format.markers if marker.startswith(stripped[: len(marker)])]
        if any(len(stripped) < len(marker) for marker in markers) or not stripped:
            return False
        n_space = len(self._buffer) - len(stripped)
        if self._format.closing in markers:
            self._buffer = stripped[len(self._format.closing) :]
            return True
        if self._in_list and stripped[0] == "]":
            self._in_list = False
            self._buffer = stripped[1:]
            return True
        if stripped[0] == self._separator and not self._is_full:
            return self._expect_call(n_space + 1)
        if stripped[0] == "{" and self._format.is_bare and not self._is_full:
            return self._expect_call(n_space)
        if self._format.opening in markers:
            self._buffer = stripped
        self._in_list = False
        self._place = Place.TEXT
        return True


def _n_begun_marker(text: str, marker: str) -> int:
    """Length of the longest end of `text` with which `marker` begins."""
    for n in range(min(len(text), len(marker) - 1), 0, -1):
        if marker.startswith(text[-n:]):
            return n
    return 0


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Without empty pieces, and neighbours of one kind in one."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if isinstance(piece, Content) and isinstance(last, Content):
            result[-1] = Content(last.text + piece.text)
        elif isinstance(piece, Arguments) and isinstance(last, Arguments):
            result[-1] = Arguments(last.text + piece.text)
        elif isinstance(piece, CallBegins) or piece.text:
            result.append(piece)
    return result
