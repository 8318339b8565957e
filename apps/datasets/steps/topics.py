"""Conversations of many topics, and not of a few that many people ask about."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step
from apps.datasets.steps.sampling import chance, drawn_of
from apps.datasets.wording import words_of

_WORDS_READ = 128


@step
@dataclass(frozen=True)
class TopicSample(ChoiceStep):
    """Keep `n` records by chance, of each topic as many as can be: `topics` are found in what users ask.

    By the words of the questions, the first 128 of a conversation: hashed and weighted by TF-IDF, reduced to 50
    dimensions (latent semantic analysis), and clustered by k-means. The same records and `seed` give the same sample.
    With `proportional` each topic gives as many as is its share of all.

    Source: Manning, Raghavan, Schütze (2008), Introduction to Information Retrieval, sections 6.2, 16.4 and 18.4.
    """

    name = "topic_sample"
    n: int = 0
    topics: int = 20
    seed: int = 0
    proportional: bool = False

    def __post_init__(self) -> None:
        if self.n < 1 or self.topics < 2:
            raise OptionWrong("n: at least 1; topics: at least 2")

    def key(self, record: Record) -> Key:
        # Here, because NumPy takes a tenth of a second to load, which recipes without this step need not wait for.
        from apps.datasets.topics import hashes_of

        words = words_of(" ".join(record.said_by(Role.USER)))[:_WORDS_READ]
        return [chance(self.seed, record.id, *map(str, record.source)), b64encode(hashes_of(words)).decode()]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        from apps.datasets.topics import Array, hashes_read, topics_of

        drawn: list[float] = []
        hashes: list[Array] = []
        for one, packed in keys:
            drawn.append(one)
            hashes.append(hashes_read(b64decode(packed)))
        labels = topics_of(hashes, self.topics, self.seed)
        strata: list[list[tuple[float, int]]] = [[] for _ in range(max(labels, default=-1) + 1)]
        for place, (one, label) in enumerate(zip(drawn, labels, strict=True)):
            strata[label].append((one, place))
        kept = drawn_of(strata, self.n, proportional=self.proportional)
        for place, label in enumerate(labels):
            yield None if place in kept else f"not drawn of topic {label + 1}"
