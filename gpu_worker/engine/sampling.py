"""From logits to the next token, for a whole batch at once.

Each request draws from a generator of its own, one number per token, so what it gets does not depend on who else is
in the batch. It changes no cache and knows no text.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gpu_worker.engine.adjusting import Penalties, Places
from gpu_worker.engine.drawing import BELOW_ONE, Cuts, cuts_of, draw, draw_cut, totals
from gpu_worker.engine.grammar import forbid_others
from gpu_worker.engine.logprobs import LEAST, TokenLogprobs
from gpu_worker.engine.request import SamplingParams

BROKEN = -1
"""In place of a token: the row's logits hold NaN or infinity, or allow no token at all."""


class RowSampler:
    """What one request carries from token to token: its random numbers and what it has said so far."""

    def __init__(
        self, params: SamplingParams, prompt_ids: Sequence[int], end_ids: frozenset[int] = frozenset()
    ) -> None:
        """`end_ids`: the model's end tokens, which `min_tokens` keeps away."""
        self.params = params
        self.n_sampled = 0
        self.random = random.Random(params.seed)  # noqa: S311 - sampling, not secrets
        self.grammar = params.grammar.start() if params.grammar is not None else None
        self.end_ids = end_ids | set(params.stop_token_ids) if params.min_tokens else frozenset()
        self.counts: dict[int, int] = {}
        """How often each token was generated; only kept for penalties."""
        self.penalised_prompt = frozenset(prompt_ids) if params.repetition_penalty != 1 else frozenset()

    @property
    def remembers(self) -> bool:
        """Whether it must be told its tokens."""
        return self.grammar is not None or self.params.has_penalties or self.params.min_tokens > 0

    @property
    def is_young(self) -> bool:
        """It has not yet said its `min_tokens`."""
        return self.n_sampled < self.params.min_tokens

    def saw(self, token_id: int) -> None:
        self.n_sampled += 1
        if self.grammar is not None:
            self.grammar.accept(token_id)
        if self.params.has_penalties:
            self.counts[token_id] = self.counts.get(token_id, 0) + 1


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one step drew, row by row."""

    tokens: list[int]
    """Token ids, or BROKEN."""
    logprobs: list[TokenLogprobs | None]
    """None for a row that does not ask, or is broken."""


class Sampler:
    """Samples for a batch, step after step; what follows from who is in it is kept while nobody joins or leaves."""

    def __init__(self) -> None:
        self._rows: list[RowSampler] = []
        self._batch: _Batch | None = None

    def sample(self, logits: torch.Tensor, rows: Sequence[RowSampler]) -> Sampled:
        """Draw one token per row of `[B, V]` logits. Changes `logits`."""
        logits = logits.float().contiguous()
        batch = self._batch
        if batch is None or batch.is_stale or self._rows != rows:
            self._rows = list(rows)
            batch = self._batch = _Batch(self._rows, logits.shape[-1], logits.device)
        raw = batch.raw(logits)
        tokens = batch.choose(logits)
        batch.saw(tokens)
        return Sampled(tokens, batch.reports(raw, tokens))


def sample(logits: torch.Tensor, rows: Sequence[RowSampler]) -> Sampled:
    """One step of a batch that does not come again."""
    return Sampler().sample(logits, rows)


class _Batch:
    """What follows from the rows of a batch and does not change from step to step."""

    def __init__(self, rows: list[RowSampler], n_vocabulary: int, device: torch.device) -> None:
        self._rows = rows
        self._device = device
        self._constrained = [(i, row.grammar) for i, row in enumerate(rows) if row.grammar is not None]
        self._remembering = [(i, row) for i, row in enumerate(rows) if row.remembers]
        self._asking = [(i, row.params.logprobs) for i, row in enumerate(rows) if row.params.logprobs is not None]
        self._penalised = [(i, row) for i, row in enumerate(rows) if row.params.has_penalties]
        self._penalties = Penalties(self._penalised, n_vocabulary, device) if self._penalised else None
        biases = [(i, token, bias) for i, row in enumerate(rows) for token, bias in row.params.logit_bias]
        self._biases = Places(biases, n_vocabulary, device) if biases else None
        self._young = [row for row in rows if row.is_young]
        ends = [(i, end, -torch.inf) for i, row in enumerate(rows) if row.is_young for end in row.end_ids]
        self._ends = Places(ends, n_vocabulary, device) if ends else None
        # Rows that draw, apart by how; greedy ones need nothing.
        self._plain = _Draws([i for i, row in enumerate(rows) if _draws(row) and not _is_cut(row)], rows, device)
        self._cut = _Draws([i for i, row in enumerate(rows) if _draws(row) and _is_cut(row)], rows, device)
        limits = [(p.top_k, p.top_p, p.min_p) for p in (row.params for row in self._cut.rows)]
        self._has_greedy = len(self._plain.rows) + len(self._cut.rows) < len(rows)
        self._cuts: Cuts | None = cuts_of(limits, n_vocabulary, device) if limits else None

    @property
    def is_stale(self) -> bool:
        """Some row has just come to its `min_tokens`."""
        return not all(row.is_young for row in self._young)

    def raw(self, logits: torch.Tensor) -> torch.Tensor | None:
        """The logits of the rows that ask for log probabilities, as they are before any adjustment."""
        return logits[[i for i, _ in self._asking]] if self._asking else None

    def choose(self, logits: torch.Tensor) -> list[int]:
        if self._constrained:
            forbid_others(logits, self._constrained)
        if self._penalties is not None:
            self._penalties.apply(logits)
        for places in (self._biases, self._ends):
            if places is not None:
                places.add(logits)
        best, tokens = logits.max(dim=-1) if self._has_greedy else _best_only(logits)
        if self._cuts is not None:
            part = self._cut.part(logits)
            drawn = draw_cut(part, self._cut.temperature, self._cut.numbers(), self._cuts)
            tokens.index_copy_(0, self._cut.index, drawn)
        if self._plain.rows:
            part = self._plain.part(logits)
            # Against the best, so that a tiny temperature cannot overflow.
            weights = part.sub_(self._plain.part(best)[:, None]).div_(self._plain.temperature).exp_()
            tokens.index_copy_(0, self._plain.index, draw(weights, self._plain.numbers()))
        # One transfer for the whole batch: max passes NaN on, so this finds every row that cannot be sampled.
        chosen: list[int] = torch.where(best.isfinite(), tokens, BROKEN).tolist()
        return chosen

    def saw(self, tokens: Sequence[int]) -> None:
        """Tell the rows their tokens. Those of a broken row do not matter any more: it ends."""
        for i, row in self._remembering:
            if tokens[i] != BROKEN:
                row.saw(tokens[i])
        if self._penalties is not None:
            self._penalties.saw([max(tokens[i], 0) for i, _ in self._penalised])

    def reports(self, raw: torch.Tensor | None, tokens: Sequence[int]) -> list[TokenLogprobs | None]:
        reports: list[TokenLogprobs | None] = [None] * len(tokens)
        if raw is None:
            return reports
        n_most = max(n_top for _, n_top in self._asking)
        entries = score(raw, [max(tokens[i], 0) for i, _ in self._asking], n_most)
        for (i, n_top), entry in zip(self._asking, entries, strict=True):
            if tokens[i] != BROKEN:
                reports[i] = TokenLogprobs(entry.token_id, entry.logprob, entry.top[:n_top])
        return reports


class _Draws:
    """Some rows of a batch that draw in the same way."""

    def __init__(self, places: list[int], batch: Sequence[RowSampler], device: torch.device) -> None:
        self.rows = [batch[i] for i in places]
        self.index = torch.tensor(places, dtype=torch.long, device=device)
        self._is_all = len(places) == len(batch)
        self.temperature = torch.tensor(
            [row.params.temperature for row in self.rows], dtype=torch.float32, device=device
        )[:, None]

    def part(self, logits: torch.Tensor) -> torch.Tensor:
        """These rows of `[B, ...]`; the very tensor if they are all."""
        return logits if self._is_all else logits.index_select(0, self.index)

    def numbers(self) -> torch.Tensor:
        numbers = [min(row.random.random(), BELOW_ONE) for row in self.rows]
        return torch.tensor(numbers, dtype=torch.float32, device=self.index.device)[:, None]


def _best_only(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Finding which token is the best takes several times as long as finding how good it is."""
    return logits.amax(dim=-1), torch.zeros(logits.shape[0], dtype=torch.long, device=logits.device)


def _draws(row: RowSampler) -> bool:
    return not row.params.is_greedy


def _is_cut(row: RowSampler) -> bool:
    return row.params.top_k > 0 or row.params.top_p < 1 or row.params.min_p > 0


def score(logits: torch.Tensor, tokens: Sequence[int], n_top: int) -> list[TokenLogprobs]:
    """Log probabilities of `tokens` and of the `n_top` likeliest under each row of `[N, V]` logits.

    A row that is not finite gives NaN.
    """
    logits = logits.float()
    chosen = logits.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])
    best, ids = logits.topk(min(n_top, logits.shape[-1]))
    most = logits.amax(-1, keepdim=True)
    all_of_them = totals((logits - most).exp_()).log_() + most
    numbers = (torch.cat([chosen, best], dim=-1) - all_of_them).clamp_(LEAST, 0).tolist()
    return [
        TokenLogprobs(token, own, tuple(zip(row_ids, top, strict=True)))
        for token, (own, *top), row_ids in zip(tokens, numbers, ids.tolist(), strict=True)
    ]
