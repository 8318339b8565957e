"""Which documents make up which step, and how they share rows without seeing each other.

Pure: lists and numpy arrays, no model. The order is a function of the seed alone, so a resumed run continues
with exactly the step it missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from gpu_worker.training.masking import Document

NOT_TRAINED = -100
_PADDING = -1
# Short conversations in short rows: attention costs the square of the width.
_WIDTHS = (128, 256, 512, 1024)

IntMatrix = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Rows of equal width, shape [B, W] each.

    labels: the next token where it is trained, else NOT_TRAINED. positions: restart at 0 with every document.
    documents: which document a token belongs to, -1 for padding.
    """

    tokens: IntMatrix
    labels: IntMatrix
    positions: IntMatrix
    documents: IntMatrix

    def attention_mask(self) -> npt.NDArray[np.bool_]:
        """[B, 1, W, W]: a token sees itself and what came before it in its own document."""
        same = self.documents[:, :, None] == self.documents[:, None, :]
        width = self.tokens.shape[1]
        return np.asarray((same & np.tri(width, dtype=np.bool_))[:, None])


def plan_steps(lengths: Sequence[int], *, tokens_per_step: int, n_steps: int, seed: int) -> list[list[int]]:
    """For each step the documents it trains on: about `tokens_per_step` tokens, every document once per epoch."""
    order = _epochs(len(lengths), seed)
    steps = []
    for _ in range(n_steps):
        chosen: list[int] = []
        n_tokens = 0
        while n_tokens < tokens_per_step:
            chosen.append(next(order))
            n_tokens += lengths[chosen[-1]]
        steps.append(chosen)
    return steps


def _epochs(count: int, seed: int) -> Iterator[int]:
    epoch = 0
    while True:
        indices = list(range(count))
        Random(f"{seed}/epoch/{epoch}").shuffle(indices)  # noqa: S311 - an order, not a secret
        yield from indices
        epoch += 1


def pack(documents: Sequence[Document], *, max_width: int, padding_token: int) -> list[PackedRows]:
    """Documents into rows, one result per width; documents longer than `max_width` are cut."""
    widths = [width for width in _WIDTHS if width < max_width] + [max_width]
    lengths = [min(len(document), max_width) for document in documents]
    groups: dict[int, list[list[int]]] = {}
    for width, members in first_fit(lengths, widths):
        groups.setdefault(width, []).append(members)
    return [_pack_rows(documents, groups[width], width, padding_token) for width in sorted(groups)]


def _pack_rows(
    documents: Sequence[Document], rows: Sequence[Sequence[int]], width: int, padding_token: int
) -> PackedRows:
    shape = (len(rows), width)
    tokens = np.full(shape, padding_token, dtype=np.int64)
    labels = np.full(shape, NOT_TRAINED, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    owners = np.full(shape, _PADDING, dtype=np.int64)
    for row, members in enumerate(rows):
        start = 0
        for index in members:
            document = documents[index]
            ids = document.tokens[:width]
            end = start + len(ids)
            tokens[row, start:end] = ids
            positions[row, start:end] = np.arange(len(ids))
            owners[row, start:end] = index
            # The last token of a document predicts nothing: what follows it is another conversation.
            labels[row, start : end - 1] = np.where(document.trained[1 : len(ids)], ids[1:], NOT_TRAINED)
            start = end
    return PackedRows(tokens, labels, positions, owners)


def first_fit(lengths: Sequence[int], widths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Rows as (width, indices): longest first into the first row with room, else into a new, narrowest row.

    `widths` ascend, and the last holds every length. O(n * rows), n is one step's documents.
    Source: Johnson (1973), first-fit decreasing.
    """
    rows: list[tuple[int, list[int]]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        row = next((r for r, free in enumerate(room) if lengths[index] <= free), len(rows))
        if row == len(rows):
            width = next(width for width in widths if lengths[index] <= width)
            rows.append((width, []))
            room.append(width)
        rows[row][1].append(index)
        room[row] -= lengths[index]
    return rows
