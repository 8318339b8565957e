"""The text of one answer as it grows, and its rendering as far as somebody looks. Pure: no clock, no I/O."""

from apps.conversations.markdown import BlockStream
from apps.core.texts import clean_text


class Answer:
    """Text that is only ever appended to.

    `stored` is what an earlier reader saved. The worker replays from the first token, so as many characters are
    skipped: nothing is shown twice, and the text never gets shorter on the way. Its first `n_given` characters are of
    an answer that this one goes on with; no worker repeats those.
    Rendering is put off until `render`: an answer that nobody watches costs no Markdown, and one that many watch is
    rendered once for all of them.
    """

    def __init__(self, stored: str = "", n_given: int = 0) -> None:
        self._parts = [stored] if stored else []
        self._n_rendered = 0
        self._n_given = n_given
        self._n_to_skip = len(stored) - n_given
        self._stream = BlockStream()
        self._is_finished = False
        self.n_chars = len(stored)
        self.n_received = 0
        """Characters from the worker, with those that were skipped."""

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def has_begun(self) -> bool:
        """Whether a worker has written anything of it."""
        return self.n_chars > self._n_given

    @property
    def blocks(self) -> list[str]:
        """HTML of the finished blocks, as of the last `render`."""
        return self._stream.blocks

    @property
    def tail(self) -> str:
        """The text after them, as of the last `render`."""
        return self._stream.tail

    def append(self, delta: str) -> None:
        delta = clean_text(delta)
        self.n_received += len(delta)
        skipped = min(self._n_to_skip, len(delta))
        self._n_to_skip -= skipped
        if delta := delta[skipped:]:
            self._parts.append(delta)
            self.n_chars += len(delta)

    @property
    def n_unrendered_chars(self) -> int:
        return sum(map(len, self._parts[self._n_rendered :]))

    def render(self, *, is_whole: bool = False) -> None:
        """Bring blocks and tail up to date; of a whole text, what is left of the tail becomes blocks.

        May run beside `append` in another thread, but not beside itself.
        """
        n_parts = len(self._parts)
        if self._n_rendered < n_parts:
            self._stream.feed("".join(self._parts[self._n_rendered : n_parts]))
            self._n_rendered = n_parts
        if is_whole and not self._is_finished:
            self._is_finished = True
            self._stream.finish()
