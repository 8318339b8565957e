"""How likely the model found its tokens, and when a stream may say so.

Plain Python. Numbers come from `sampling`; text does not pass here, only how much of it there is.
"""

from collections import deque
from dataclasses import dataclass, replace

LEAST = -9999.0
"""In place of minus infinity, which JSON does not have. Source: OpenAI API reference, "The chat completion object"."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """One token's logarithmic probability in the model's own distribution, before temperature, penalties and biases.

    Source: vLLM, `logprobs_mode` "raw_logprobs", its default.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this place and theirs, likeliest first."""
    offset: int = 0
    """Characters of the answer, or of the prompt, before the token's own."""


class LogprobQueue:
    """Holds a request's entries until the text that they belong to is shown.

    An entry leaves with the first character at or behind its token's beginning: so no entry comes before its text, none
    comes twice, and a token that has no text of its own leaves with the text after it.
    """

    def __init__(self) -> None:
        self._waiting: deque[TokenLogprobs] = deque()
        self._n_read = 0
        self._n_shown = 0

    def add(self, entry: TokenLogprobs, n_characters: int) -> None:
        """A token was generated, and completed `n_characters` of text, shown or not."""
        self._waiting.append(replace(entry, offset=self._n_read))
        self._n_read += n_characters

    def shown(self, n_characters: int) -> tuple[TokenLogprobs, ...]:
        """So much more text goes out: return the entries that go with it."""
        self._n_shown += n_characters
        leaving = []
        while self._waiting and self._waiting[0].offset < self._n_shown:
            leaving.append(self._waiting.popleft())
        return tuple(leaving)

    def flush(self) -> tuple[TokenLogprobs, ...]:
        """The end: everything that still waits, such as the end token or the tokens of a stop string."""
        leaving = tuple(self._waiting)
        self._waiting.clear()
        return leaving
