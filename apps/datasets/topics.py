"""What conversations are about: by hashes of the words of their questions. Pure."""

import warnings
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import numpy as np

_N_BUCKETS = 2**14
_DIMENSIONS = 50
_ROUNDS = 25
Array = np.ndarray[Any, np.dtype[Any]]


def hashes_of(words: Iterable[str]) -> bytes:
    """Two bytes for each word."""
    return np.fromiter((crc32(word.encode("utf-8", "replace")) % _N_BUCKETS for word in words), np.uint16).tobytes()


def hashes_read(raw: bytes) -> Array:
    return np.frombuffer(raw, np.uint16)


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
