"""Some conversations of many, by chance: of all, or of the strata into which their fields divide them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest

from apps.datasets.records import Record
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step


@step
@dataclass(frozen=True)
class Sample(ChoiceStep):
    """Keep `n` records by chance, in their order: the same ones for the same `seed`, however many processes work.

    `by`: fields, as [language, model], whose values divide the records into strata. From each stratum as many are
    drawn, as far as it has enough; with `proportional` as many as is its share of all.
    """

    name = "sample"
    n: int = 0
    seed: int = 0
    by: list[str] = field(default_factory=list)
    proportional: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionWrong("n: at least 1")
        if self.proportional and not self.by:
            raise OptionWrong("proportional: name in by of what")

    def key(self, record: Record) -> Key:
        drawn = chance(self.seed, record.id, *map(str, record.source))
        values = {"model": record.model}
        return [drawn, "\x1f".join(str(values.get(name, record.fields.get(name))) for name in self.by)]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        strata: dict[str, list[tuple[float, int]]] = {}
        n_all = 0
        for n_all, (drawn, values) in enumerate(keys, 1):
            strata.setdefault(values, []).append((drawn, n_all - 1))
        kept = drawn_of(list(strata.values()), self.n, proportional=self.proportional)
        for n in range(n_all):
            yield None if n in kept else "not drawn"


def drawn_of(strata: list[list[tuple[float, int]]], n: int, *, proportional: bool = False) -> set[int]:
    """The places that are kept. `strata`: of each the records, as what was drawn for them, 0 to 1, and their place."""
    shares = (proportional_shares if proportional else equal_shares)(list(map(len, strata)), n)
    return {place for share, stratum in zip(shares, strata, strict=True) for _, place in nsmallest(share, stratum)}


def equal_shares(sizes: list[int], n: int) -> list[int]:
    """How many of each: as equal as they can be, `n` in all if there are so many."""
    shares, left = [0] * len(sizes), n
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    for n_before, stratum in enumerate(by_size):
        shares[stratum] = min(sizes[stratum], -(-left // (len(sizes) - n_before)), left)
        left -= shares[stratum]
    return shares


def proportional_shares(sizes: list[int], n: int) -> list[int]:
    """How many of each: by its size, `n` in all if there are so many. What is left over goes by the largest remainders.

    Source: the method of Hamilton.
    """
    n_all = sum(sizes)
    if n >= n_all:
        return sizes
    shares = [n * size // n_all for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda stratum: -(n * sizes[stratum] % n_all))
    for stratum in by_remainder[: n - sum(shares)]:
        shares[stratum] += 1
    return shares


def chance(seed: int, *what: str) -> float:
    """A number from 0 to 1 that depends on these alone."""
    digest = hashlib.blake2b("\x1f".join([str(seed), *what]).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
