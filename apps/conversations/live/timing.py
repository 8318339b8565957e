"""Time to first token and speed of an answer. Pure: the clock is passed in."""

from collections.abc import Callable

SHORTEST_MEASURED_S = 0.1
"""Pieces that come closer together travelled together: their distance says nothing about the model's speed."""


class Stopwatch:
    """Measures from the question to the first piece of text, and from there to the last.

    Until `start` is called nothing is measured: in a replay the pieces come as fast as the network.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: float | None = None
        self._first: float | None = None
        self._last: float | None = None

    def start(self, *, asked_s_ago: float) -> None:
        self._asked = self._clock() - asked_s_ago

    def tick(self) -> None:
        """A piece of text came."""
        self._last = self._clock()
        if self._first is None:
            self._first = self._last

    @property
    def ttft_ms(self) -> int | None:
        if self._asked is None or self._first is None:
            return None
        return max(0, round((self._first - self._asked) * 1000))

    def tokens_per_s(self, n_tokens: int | None) -> float | None:
        """Speed of the tokens after the first one; None when it was not measured, or too short to be."""
        if self._asked is None or n_tokens is None or n_tokens < 2 or self._first is None or self._last is None:
            return None
        took_s = self._last - self._first
        return (n_tokens - 1) / took_s if took_s >= SHORTEST_MEASURED_S else None
