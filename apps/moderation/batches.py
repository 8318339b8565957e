"""Many texts in groups that rules and a classifier can judge in the time that they have for one request. Pure."""

from collections.abc import Iterable, Iterator

BATCH_TEXTS = 32
BATCH_CHARS = 100_000


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """In their order. A text that is longer than a group may be is one of its own."""
    batch: list[str] = []
    n_chars = 0
    for text in texts:
        if batch and (len(batch) >= BATCH_TEXTS or n_chars + len(text) > BATCH_CHARS):
            yield batch
            batch, n_chars = [], 0
        batch.append(text)
        n_chars += len(text)
    if batch:
        yield batch
