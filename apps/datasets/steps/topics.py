"""Conversations of many topics, and not of a few that many people ask about."""

import warnings
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step
from apps.datasets.steps.sampling import chance, drawn_of
from apps.datasets.wording import words_of

_N_BUCKETS = 2**14
_WORDS_READ = 128
_DIMENSIONS = 50
_ROUNDS = 25
Array = np.ndarray[Any, np.dtype[Any]]


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
        words = words_of(" ".join(record.said_by(Role.USER)))[:_WORDS_READ]
        buckets = np.fromiter((crc32(word.encode("utf-8", "replace")) % _N_BUCKETS for word in words), np.uint16)
        return [chance(self.seed, record.id, *map(str, record.source)), b64encode(buckets.tobytes()).decode()]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        drawn: list[float] = []
        buckets: list[Array] = []
        for one, packed in keys:
            drawn.append(one)
            buckets.append(np.frombuffer(b64decode(packed), np.uint16))
        labels = topics_of(buckets, self.topics, self.seed)
        strata: list[list[tuple[float, int]]] = [[] for _ in range(max(labels, default=-1) + 1)]
        for place, (one, label) in enumerate(zip(drawn, labels, strict=True)):
            strata[label].append((one, place))
        kept = drawn_of(strata, self.n, proportional=self.proportional)
        for place, label in enumerate(labels):
            yield None if place in kept else f"not drawn of topic {label + 1}"


def topics_of(texts: list[Array], n_topics: int, seed: int) -> list[int]:
    """The topic of each text, given as hashes of its words: from 0, the largest topic first. Texts without words have
    a topic of their own."""
    has_words = np.array([len(text) > 0 for text in texts], dtype=bool)
    found = np.full(len(texts), n_topics)
    if has_words.any():
        found[has_words] = _clustered([text for text in texts if len(text)], n_topics, seed)
    names, counts = np.unique(found, return_counts=True)
    by_size = {int(name): place for place, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return [by_size[int(label)] for label in found]


def _clustered(texts: list[Array], n_topics: int, seed: int) -> Array:
    from scipy.cluster.vq import kmeans2  # here, because only one process of a run needs it

    vectors = _vectors(texts)
    n_distinct = len(np.unique(vectors.round(6), axis=0))
    if n_distinct <= n_topics:
        return np.unique(vectors.round(6), axis=0, return_inverse=True)[1].reshape(-1)
    with warnings.catch_warnings():
        # A cluster that loses its last text keeps its centre, and is none of the topics.
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        rng = np.random.default_rng(seed)
        labels: Array = kmeans2(vectors, n_topics, iter=_ROUNDS, minit="++", rng=rng)[1]
    return labels


def _vectors(texts: list[Array]) -> Array:
    """Of length 1, shape [texts, dimensions]."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import svds

    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    used, columns = np.unique(np.concatenate(texts), return_inverse=True)
    counts = csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(texts), len(used)))
    counts.sum_duplicates()
    n_with = np.bincount(counts.indices, minlength=len(used))
    counts.data = 1 + np.log(counts.data)
    weighted = _normalised(counts @ diags_array(np.log((1 + len(texts)) / (1 + n_with)) + 1))
    if min(weighted.shape) <= _DIMENSIONS:
        whole: Array = weighted.toarray()
        return whole
    left, values, _ = svds(weighted, k=_DIMENSIONS, v0=np.ones(min(weighted.shape)))
    reduced = left * values
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    shortened: Array = reduced / np.where(lengths > 0, lengths, 1)
    return shortened


def _normalised(matrix: Any) -> Any:
    from scipy.sparse import diags_array

    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return diags_array(1 / np.where(lengths > 0, lengths, 1)) @ matrix
