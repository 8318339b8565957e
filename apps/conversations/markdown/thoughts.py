"""What a model thought before it answered: `<think>…</think>` at the beginning of a text, shown folded.

Pure. `render` and `BlockStream` are those of `rendering` and `stream` for a text that may begin with thoughts.
"""

from __future__ import annotations

from apps.conversations.markdown import rendering
from apps.conversations.markdown.stream import BlockStream as RestStream

OPEN = "<think>"
CLOSE = "</think>"


def split_thoughts(text: str) -> tuple[str, str]:
    """The thoughts and the rest; thoughts that are not closed reach to the end."""
    beginning = text.lstrip()
    if not beginning.startswith(OPEN):
        return "", text
    thoughts, _, rest = beginning[len(OPEN) :].partition(CLOSE)
    return thoughts, rest


def without_thoughts(text: str) -> str:
    """The answer alone, as a model should read it again."""
    thoughts, rest = split_thoughts(text)
    return rest.lstrip() if thoughts else text


def render(text: str) -> str:
    """Return the sanitised HTML of a finished answer."""
    thoughts, rest = split_thoughts(text)
    return _folded(thoughts) + rendering.render(rest)


def _folded(thoughts: str) -> str:
    """As plain paragraphs: nobody is shown them unless he asks, and there may be very many."""
    if not thoughts.strip():
        return ""
    inside = rendering.render_user(thoughts.strip(), images_at=None)
    return (
        f'<details class="thoughts"><summary>Thoughts</summary><div class="thoughts__text">{inside}</div></details>\n'
    )


class BlockStream:
    """Render an answer block by block as it arrives; its thoughts, when they are complete, are one block."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._rest = RestStream()
        self._held: str | None = ""
        """What came, until it is known not to be thoughts, or all of them are here."""

    @property
    def tail(self) -> str:
        """The source text after the last finished block."""
        return self._rest.tail if self._held is None else self._held

    def feed(self, delta: str) -> list[str]:
        """Take the next piece of text; return the HTML of the blocks it finished."""
        finished: list[str] = []
        if self._held is None:
            finished = self._rest.feed(delta)
        else:
            searched = max(0, len(self._held) - len(CLOSE))
            self._held += delta
            if self._is_decided(searched):
                finished = self._let_go()
        self.blocks += finished
        return finished

    def finish(self) -> list[str]:
        """Say that the text is complete; return the HTML of the blocks that were still open."""
        finished = (self._let_go() if self._held is not None else []) + self._rest.finish()
        self.blocks += finished
        return finished

    def _is_decided(self, searched: int) -> bool:
        assert self._held is not None  # noqa: S101  # asked for by the caller
        beginning = self._held[: len(OPEN) + 100].lstrip() or self._held.lstrip()[: len(OPEN)]
        if beginning.startswith(OPEN):
            return self._held.find(CLOSE, searched) != -1
        return not OPEN.startswith(beginning)

    def _let_go(self) -> list[str]:
        assert self._held is not None  # noqa: S101  # asked for by the callers
        thoughts, rest = split_thoughts(self._held)
        self._held = None
        folded = _folded(thoughts)
        return ([folded] if folded else []) + self._rest.feed(rest)
