"""Token ids to text, one at a time, so that the pieces joined are the text of all of them.

Plain Python: the tokenizer comes in as a function. It does not know stop strings (`stop` does).
"""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

REPLACEMENT = "\ufffd"

WINDOW_TOKENS = 24
"""The window is cut back when it is this long: decoding a few tokens more is cheaper than decoding twice."""

MAX_HELD_TOKENS = 16
"""A character has at most four bytes, so at most four tokens; a longer run that still ends in U+FFFD is not the
beginning of a character but broken output, and is shown."""


class Detokenizer:
    """Turns one request's tokens into text as they come.

    A token may end in the middle of a UTF-8 character, and a tokenizer may drop the space before the first word that
    it decodes. So each step decodes a short window of tokens that begins at an earlier clean boundary, and returns
    what is new. The cost per token does not grow with the output.

    Joined, the pieces equal `decode(all ids)` for byte-level tokenizers, whatever the ids. A tokenizer with byte
    fallback judges a run of byte tokens as a whole, so there the two may differ inside a run that is not UTF-8.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._n_shown = 0
        """Characters of the window's text that have been returned."""
        self._n_clean = 0
        """Tokens of the window up to its last clean boundary, where a later window may begin."""
        self._n_held = 0
        """Tokens since that boundary."""

    def feed(self, token_id: int) -> str:
        """Return the text that this token completes; empty while a character is incomplete."""
        self._window.append(token_id)
        text = self._decode(self._window)
        n_broken = len(text) - len(text.rstrip(REPLACEMENT)) if text.endswith(REPLACEMENT) else 0
        self._n_held = self._n_held + 1 if n_broken else 0
        if self._n_held > MAX_HELD_TOKENS:
            n_broken = 1
        new = text[self._n_shown : len(text) - n_broken]
        self._n_shown += len(new)
        self._cut_window(n_broken)
        return new

    def flush(self) -> str:
        """The end of the output: what is incomplete now stays so, and shows as U+FFFD."""
        text = self._decode(self._window)
        new = text[self._n_shown :]
        self._n_shown = len(text)
        return new

    def _cut_window(self, n_broken: int) -> None:
        clean_before, self._n_clean = self._n_clean, (self._n_clean if n_broken else len(self._window))
        if n_broken == 0 and len(self._window) > WINDOW_TOKENS:
            self._restart(self._window[clean_before:], n_broken=0)
        elif len(self._window) > 2 * WINDOW_TOKENS:
            # Endless broken output has no clean boundary; any will do as long as the window stays short.
            self._restart(self._window[-MAX_HELD_TOKENS:], n_broken=1)

    def _restart(self, window: list[int], *, n_broken: int) -> None:
        self._window = window
        self._n_clean = len(window)
        self._n_shown = max(len(self._decode(window)) - n_broken, 0)
