"""Changes to single places of a batch's logits before a token is chosen: penalties, biases, end tokens kept away.

Only the places that a request names or has seen are touched, all rows together, so the cost does not grow with the
vocabulary. It chooses no token.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from gpu_worker.engine.request import SamplingParams

ROOM = 256
"""Places added beyond those in use, so that new tokens need no new tensors for a while."""


class History(Protocol):
    """What penalties need to know of a row."""

    @property
    def params(self) -> SamplingParams: ...

    @property
    def penalised_prompt(self) -> frozenset[int]:
        """Tokens of the prompt that count."""

    @property
    def counts(self) -> dict[int, int]:
        """How often each token was generated."""


class Penalties:
    """Repetition, frequency and presence penalties of some rows of a batch.

    Source: OpenAI API reference, "Frequency and presence penalties"; Keskar et al. (2019), CTRL, section 4.1, for the
    repetition penalty, which counts prompt and output and comes first.
    """

    def __init__(self, rows: Sequence[tuple[int, History]], n_vocabulary: int, device: torch.device) -> None:
        """`rows`: each with its number in the batch."""
        self._rows = rows
        self._n_vocabulary = n_vocabulary
        self._device = device
        self._known: list[dict[int, int]]
        """Where each row's tokens are in the tensors."""
        self._n: int
        self._places: torch.Tensor
        self._table: torch.Tensor
        """Repetition, frequency and presence penalty and count, for each place."""
        self._build()

    def apply(self, logits: torch.Tensor) -> None:
        """Change `[B, V]` logits in place."""
        places = self._places[: self._n]
        repetition, frequency, presence, counts = self._table[:, : self._n]
        flat = logits.view(-1)
        values = flat[places]
        values = torch.where(values > 0, values / repetition, values * repetition)
        values -= frequency * counts + presence * (counts > 0)
        flat.index_copy_(0, places, values)

    def saw(self, tokens: Sequence[int]) -> None:
        """Each row, in the order of `rows`, has generated one more token, which its `counts` know already."""
        again: list[int] = []
        new: list[tuple[float, ...]] = []
        for (index, row), known, token in zip(self._rows, self._known, tokens, strict=True):
            if token in known:
                again.append(known[token])
            else:
                known[token] = self._n + len(new)
                new.append((index * self._n_vocabulary + token, *_parameters(row.params), 1.0))
        if self._n + len(new) > len(self._places):
            self._build()
            return
        if again:
            self._table[3].index_add_(0, torch.tensor(again, device=self._device), self._ones[: len(again)])
        if new:
            places, *table = zip(*new, strict=True)
            end = self._n + len(new)
            self._places[self._n : end] = torch.tensor(places, device=self._device)
            self._table[:, self._n : end] = torch.tensor(table, device=self._device)
            self._n = end

    def _build(self) -> None:
        self._known = []
        entries: list[tuple[float, ...]] = []
        places: list[int] = []
        for index, row in self._rows:
            counts = dict.fromkeys(row.penalised_prompt, 0) | row.counts
            self._known.append({token: len(places) + i for i, token in enumerate(counts)})
            places += [index * self._n_vocabulary + token for token in counts]
            entries += [(*_parameters(row.params), float(count)) for count in counts.values()]
        self._n = len(places)
        room = ROOM + self._n // 2
        self._places = torch.tensor(places + [0] * room, device=self._device)
        self._table = torch.tensor(entries + [(1.0, 0.0, 0.0, 0.0)] * room, device=self._device).t().contiguous()
        self._ones = torch.ones(len(self._rows), device=self._device)


def _parameters(params: SamplingParams) -> tuple[float, float, float]:
    return params.repetition_penalty, params.frequency_penalty, params.presence_penalty


class Places:
    """Numbers for fixed places of a batch's `[B, V]` logits."""

    def __init__(self, entries: Sequence[tuple[int, int, float]], n_vocabulary: int, device: torch.device) -> None:
        """`entries`: row, token and number."""
        self._places = torch.tensor([row * n_vocabulary + token for row, token, _ in entries], device=device)
        self._numbers = torch.tensor([number for _, _, number in entries], dtype=torch.float32, device=device)

    def add(self, logits: torch.Tensor) -> None:
        logits.view(-1).index_add_(0, self._places, self._numbers)
