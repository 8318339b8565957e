"""Stop strings in a stream: found wherever the chunks are cut, never shown, and no more held back than needed.

Plain Python. It works on text, not on tokens.
"""


class StopScanner:
    """Feed text as it comes; what `feed` and `flush` return is safe to show.

    At most `max(len(stop)) - 1` characters are held back, and only while they are a prefix of some stop string.
    The stop string that is complete first ends the text, and of two that end together the longer; so the result does
    not depend on how the text was cut. `matched` names it.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.matched: str | None = None

    def feed(self, text: str) -> str:
        """Return what may be shown. After a match nothing comes out any more."""
        if not self._stops:
            return text
        if self.matched is not None or not text:
            return ""
        window = self._held + text
        found = self._find(window)
        if found is not None:
            at, self.matched = found
            self._held = ""
            return window[:at]
        n_held = self._n_possible(window)
        self._held = window[len(window) - n_held :]
        return window[: len(window) - n_held]

    def flush(self) -> str:
        """The end of the stream: what was held back is no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _find(self, window: str) -> tuple[int, str] | None:
        hits = [(at + len(stop), at, stop) for stop in self._stops if (at := window.find(stop)) >= 0]
        return min(hits)[1:] if hits else None

    def _n_possible(self, window: str) -> int:
        """Length of the longest end of `window` with which some stop string begins."""
        for n in range(min(len(window), max(map(len, self._stops)) - 1), 0, -1):
            tail = window[-n:]
            if any(stop.startswith(tail) for stop in self._stops):
                return n
        return 0
