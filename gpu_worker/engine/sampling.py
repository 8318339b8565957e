"""From logits to the next token, for a whole batch at once.

Each request draws from a generator of its own, one number per token, so what it gets does not depend on who else is
in the batch. It changes no cache and knows no text.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gpu_worker.engine.grammar import forbid_others
from gpu_worker.engine.logprobs import LEAST, TokenLogprobs
from gpu_worker.engine.request import SamplingParams

BROKEN = -1
"""In place of a token: the row's logits hold NaN or infinity, or allow no token at all."""

SORT_FIRST = 1024
"""Candidates looked at before the whole vocabulary is sorted for top_p."""


class RowSampler:
    """What one request carries from token to token: its random numbers and what it has said so far."""

    def __init__(
        self,
        params: SamplingParams,
        prompt_ids: Sequence[int],
        device: torch.device,
        end_ids: frozenset[int] = frozenset(),
    ) -> None:
        """`end_ids`: the model's end tokens, which `min_tokens` keeps away."""
        self.params = params
        self.n_sampled = 0
        self.random = random.Random(params.seed)  # noqa: S311 - sampling, not secrets
        self._device = device
        self._prompt_ids = prompt_ids
        self._counts: torch.Tensor | None = None
        self._in_prompt: torch.Tensor | None = None
        self._bias = self._bias_tensors()
        self._ends = self._end_tensor(end_ids)
        self.grammar = params.grammar.start() if params.grammar is not None else None

    @property
    def changes_logits(self) -> bool:
        return self._bias is not None or self._ends is not None or self.params.has_penalties

    def adjust(self, logits: torch.Tensor) -> None:
        """Apply penalties and biases to this request's `[V]` in place.

        Source: OpenAI API reference, "Frequency and presence penalties"; Keskar et al. (2019), CTRL, section 4.1, for
        the repetition penalty, which counts prompt and output.
        """
        if self.params.has_penalties:
            counts, in_prompt = self._history(logits)
            if self.params.repetition_penalty != 1:
                seen = in_prompt | (counts > 0)
                penalty = self.params.repetition_penalty
                penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
                logits.copy_(torch.where(seen, penalised, logits))
            logits -= self.params.frequency_penalty * counts
            logits -= self.params.presence_penalty * (counts > 0)
        if self._bias is not None:
            tokens, biases = self._bias
            logits.index_add_(0, tokens, biases)
        if self._ends is not None and self.n_sampled < self.params.min_tokens:
            logits[self._ends] = -torch.inf

    def saw(self, token_id: int) -> None:
        self.n_sampled += 1
        if self.grammar is not None and token_id != BROKEN:
            self.grammar.accept(token_id)
        if self._counts is not None:
            self._counts[token_id] += 1

    def _history(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._counts is None or self._in_prompt is None:
            self._counts = torch.zeros_like(logits)
            self._in_prompt = torch.zeros_like(logits, dtype=torch.bool)
            self._in_prompt[torch.tensor(self._prompt_ids, device=self._device)] = True
        return self._counts, self._in_prompt

    def _bias_tensors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not self.params.logit_bias:
            return None
        tokens, biases = zip(*self.params.logit_bias, strict=True)
        return torch.tensor(tokens, device=self._device), torch.tensor(biases, device=self._device)

    def _end_tensor(self, end_ids: frozenset[int]) -> torch.Tensor | None:
        ends = sorted(end_ids | set(self.params.stop_token_ids))
        return torch.tensor(ends, device=self._device) if ends and self.params.min_tokens > 0 else None


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one step drew, row by row."""

    tokens: list[int]
    """Token ids, or BROKEN."""
    logprobs: list[TokenLogprobs | None]
    """None for a row that does not ask, or is broken."""


def sample(logits: torch.Tensor, rows: Sequence[RowSampler]) -> Sampled:
    """Draw one token per row of `[B, V]` logits. Changes `logits`."""
    logits = logits.float()
    asking = [i for i, row in enumerate(rows) if row.params.logprobs is not None]
    raw = logits[torch.tensor(asking, device=logits.device)] if asking else None  # a copy: before any adjustment
    tokens = _choose(logits, rows)
    entries: list[TokenLogprobs | None] = [None] * len(rows)
    sound = [(place, i) for place, i in enumerate(asking) if tokens[i] != BROKEN]
    if raw is not None and sound:
        n_top = max(rows[i].params.logprobs or 0 for _, i in sound)
        places = torch.tensor([place for place, _ in sound], device=logits.device)
        for (_, i), entry in zip(sound, score(raw[places], [tokens[i] for _, i in sound], n_top), strict=True):
            entries[i] = TokenLogprobs(entry.token_id, entry.logprob, entry.top[: rows[i].params.logprobs])
    return Sampled(tokens, entries)


def score(logits: torch.Tensor, tokens: Sequence[int], n_top: int) -> list[TokenLogprobs]:
    """Log probabilities of `tokens` and of the `n_top` likeliest under each row of `[N, V]` logits.

    A row that is not finite gives NaN.
    """
    logprobs = logits.float().log_softmax(dim=-1)
    chosen = logprobs.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])
    best, ids = logprobs.topk(min(n_top, logprobs.shape[-1]))
    numbers = torch.cat([chosen, best], dim=-1).clamp_min(LEAST).tolist()
    return [
        TokenLogprobs(token, own, tuple(zip(row_ids, top, strict=True)))
        for token, (own, *top), row_ids in zip(tokens, numbers, ids.tolist(), strict=True)
    ]


def _choose(logits: torch.Tensor, rows: Sequence[RowSampler]) -> list[int]:
    constrained = [(index, row.grammar) for index, row in enumerate(rows) if row.grammar is not None]
    if constrained:
        forbid_others(logits, constrained)
    for index, row in enumerate(rows):
        if row.changes_logits:
            row.adjust(logits[index])
    best_logits, best = logits.max(dim=-1)
    # One transfer for the whole batch: max passes NaN on, so this finds every row that cannot be sampled.
    tokens: list[int] = torch.where(best_logits.isfinite(), best, BROKEN).tolist()
    drawn = [i for i, row in enumerate(rows) if not row.params.is_greedy and tokens[i] != BROKEN]
    if drawn:
        for index, token in zip(drawn, _draw(logits, best_logits, drawn, rows), strict=True):
            tokens[index] = token
    for row, token in zip(rows, tokens, strict=True):
        row.saw(token)
    return tokens


def _draw(logits: torch.Tensor, best_logits: torch.Tensor, drawn: list[int], rows: Sequence[RowSampler]) -> list[int]:
    """Tokens for the rows named by `drawn`, in that order."""
    chosen = torch.tensor(drawn, device=logits.device)
    params = [rows[i].params for i in drawn]
    temperature = _column(logits, [p.temperature for p in params])
    # Against the best, so that a tiny temperature cannot overflow.
    scaled = (logits[chosen] - best_logits[chosen, None]) / temperature
    probabilities = scaled.softmax(dim=-1)
    numbers = _column(logits, [rows[i].random.random() for i in drawn])
    cut = [i for i, p in enumerate(params) if p.top_k > 0 or p.top_p < 1 or p.min_p > 0]
    tokens = _invert(probabilities, numbers)[:, 0]
    if cut:
        subset = torch.tensor(cut, device=logits.device)
        tokens[subset] = _draw_cut(probabilities[subset], numbers[subset], [params[i] for i in cut])
    result: list[int] = tokens.tolist()
    return result


def _draw_cut(probabilities: torch.Tensor, numbers: torch.Tensor, params: list[SamplingParams]) -> torch.Tensor:
    """Draw from the likeliest tokens only: top_k, then top_p of what that leaves, then min_p."""
    ordered, ids = _ordered(probabilities, params)
    ranks = torch.arange(ordered.shape[-1], device=ordered.device)
    top_k = _column(ordered, [p.top_k if p.top_k > 0 else probabilities.shape[-1] for p in params])
    kept = torch.where(ranks < top_k, ordered, 0)
    # The mass of the whole row, not of the candidates looked at, unless top_k cuts it.
    mass = torch.where(top_k < probabilities.shape[-1], kept.sum(-1, keepdim=True), 1.0)
    before = kept.cumsum(-1) - kept
    top_p = _column(ordered, [p.top_p for p in params])
    min_p = _column(ordered, [p.min_p for p in params])
    kept = torch.where((before < top_p * mass) & (ordered >= min_p * ordered[:, :1]), kept, 0)
    return ids.gather(-1, _invert(kept, numbers))[:, 0]


def _ordered(probabilities: torch.Tensor, params: list[SamplingParams]) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens first: as many as can matter."""
    n_vocabulary = probabilities.shape[-1]
    if all(p.top_k > 0 for p in params):
        return probabilities.topk(min(max(p.top_k for p in params), n_vocabulary))
    if n_vocabulary > SORT_FIRST and all(0 < p.top_k <= SORT_FIRST or p.top_p < 1 for p in params):
        ordered, ids = probabilities.topk(SORT_FIRST)
        needed = _column(ordered, [0.0 if 0 < p.top_k <= SORT_FIRST else p.top_p for p in params])
        if bool((ordered.sum(-1, keepdim=True) > needed).all()):
            return ordered, ids
    return probabilities.sort(dim=-1, descending=True)


def _invert(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """The index at which the cumulated weights pass each row's share `numbers` of their sum, `[B, 1]`."""
    cumulated = weights.cumsum(-1)
    index = torch.searchsorted(cumulated, numbers * cumulated[:, -1:], right=True)
    return index.clamp_(max=weights.shape[-1] - 1)


def _column(like: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
