"""Which conversations are nearly the same, by sketches of their words. Pure."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from struct import Struct

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from apps.datasets.shingles import LETTERS_AT_ONCE, run_hashes, word_hashes
from apps.datasets.steps.duplicates import digest_of

_N_PERMUTATIONS = 128
_SKETCH = Struct(f"<{_N_PERMUTATIONS}I")
_SHINGLE_WORDS = 5
_FOUND = 0.99
"""Of the conversations that overlap by exactly `similarity`, the share that is compared with the one they overlap."""


def sketches_of(conversations: Iterable[list[str]]) -> Iterator[bytes]:
    """Of each, given by its messages, a sketch of the sets of words in a row: of 128 numbers the lower halves."""
    for some in _batches(conversations):
        shingles = _shingles(some)
        sketches = RMinHash.digest_matrix_from_flat_token_hashes(
            np.concatenate(shingles),
            list(accumulate(map(len, shingles), initial=0)),
            num_perm=_N_PERMUTATIONS,
            seed=1,
        )
        for sketch in sketches.to_rows():
            # The lower half of each tells two apart as well.
            yield np.frombuffer(_SKETCH.pack(*sketch), dtype="<u2")[::2].tobytes()


def sketches_read(raw: bytes) -> NDArray[np.uint16]:
    """Of sketches one after the other the numbers [N, 128]."""
    return np.frombuffer(raw, dtype="<u2").reshape(-1, _N_PERMUTATIONS)


def _batches(conversations: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    n_letters = 0
    for said in conversations:
        n_more = sum(map(len, said))
        if batch and n_letters + n_more > LETTERS_AT_ONCE:
            yield batch
            batch, n_letters = [], 0
        batch.append(said)
        n_letters += n_more
    if batch:
        yield batch


def _shingles(conversations: list[list[str]]) -> list[NDArray[np.uint64]]:
    """Of each conversation the five words in a row: all words if they are fewer, messages if there are only signs."""
    words, firsts = word_hashes(["\n".join(said) for said in conversations])
    runs = run_hashes(words, _SHINGLE_WORDS)
    return [
        runs[first : end - _SHINGLE_WORDS + 1] if end - first >= _SHINGLE_WORDS else _few(words[first:end], said)
        for said, (first, end) in zip(conversations, pairwise(firsts), strict=True)
    ]


def _few(words: NDArray[np.unsignedinteger], said: list[str]) -> NDArray[np.uint64]:
    if not len(words):  # signs alone, as ":-)"
        words = np.array([digest_of(one) for one in said or [""]], dtype=np.uint64)
    return run_hashes(words, _SHINGLE_WORDS)


def near_earlier(sketches: NDArray[np.uint16], similarity: float) -> Iterator[bool]:
    """For each sketch [N, P] in order whether one that was kept before is equal to it in a share of `similarity`.

    Only those that are equal in a whole band are compared. Quadratic in how many are alike and still kept.
    Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.
    """
    n_least = int(np.ceil(similarity * sketches.shape[1] - 1e-9))
    buckets = _buckets(sketches, rows_of_band(similarity, sketches.shape[1]))
    kept, n_kept = np.empty(len(sketches), dtype=np.int32), 0
    kept_in: dict[tuple[int, int], list[int]] = {}
    is_met = buckets.max(axis=1, initial=-1) >= 0
    for n, sketch in enumerate(sketches):
        places = [(band, bucket) for band, bucket in enumerate(buckets[n].tolist()) if bucket >= 0] if is_met[n] else []
        met = [kept_in[place] for place in places if place in kept_in]
        # To compare with all is quicker than to make a set of as many.
        others = kept[:n_kept] if sum(map(len, met)) > n_kept else list(set().union(*met))
        is_near = len(others) > 0 and int(np.count_nonzero(sketches[others] == sketch, axis=1).max()) >= n_least
        if not is_near:
            kept[n_kept] = n
            n_kept += 1
            for place in places:
                kept_in.setdefault(place, []).append(n)
        yield is_near


def _buckets(sketches: NDArray[np.uint16], n_rows: int) -> NDArray[np.int32]:
    """For each sketch and band [N, B] a number that those have in common which are equal there, or -1 if none is."""
    n_bands = sketches.shape[1] // n_rows
    buckets = np.empty((len(sketches), n_bands), dtype=np.int32)
    for band in range(n_bands):
        part = sketches[:, band * n_rows : (band + 1) * n_rows]
        _, numbers, counts = np.unique(run_hashes(part.T, n_rows)[0], return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(counts[numbers] > 1, numbers, -1)
    return buckets


def rows_of_band(similarity: float, n_permutations: int) -> int:
    """As many as still let `_FOUND` of those that are equal in this share be equal in a whole band."""
    sizes = range(1, n_permutations + 1)
    return max(rows for rows in sizes if 1 - (1 - similarity**rows) ** (n_permutations // rows) >= _FOUND)
