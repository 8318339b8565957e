"""Which rows belong together, because they share something or both share something with a third. Pure."""

from collections.abc import Sequence


class Families:
    """A forest of ties. Source: Tarjan (1975), "Efficiency of a good but not linear set union algorithm"."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}
        self._first: dict[int, int] = {}

    def add(self, row: int, ties: Sequence[int]) -> None:
        """`ties`: at least one; rows with one of them in common are a family."""
        self._first[row] = ties[0]
        for tie in ties:
            self._above.setdefault(tie, tie)
            one, other = self._top(ties[0]), self._top(tie)
            # The smallest is on top, so that a family's number depends neither on order nor on chance.
            self._above[max(one, other)] = min(one, other)

    def of(self, row: int) -> int:
        """The family's number: the smallest of its ties."""
        return self._top(self._first[row])

    def _top(self, tie: int) -> int:
        top = tie
        while self._above[top] != top:
            top = self._above[top]
        while self._above[tie] != top:
            self._above[tie], tie = top, self._above[tie]
        return top
