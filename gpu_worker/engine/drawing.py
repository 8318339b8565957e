"""Draws tokens from distributions over the vocabulary, many rows at once. Pure: the random numbers are given.

What a row gets depends on its own logits, parameters and number alone, whatever the other rows are: equal logits are
kept or cut together, and a number picks among the kept tokens in the order of their ids. Sums round as they are summed,
so none is taken over a width that follows from the other rows, except one after the other, where zeros change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

WIDTHS = (256, 1024, 4096)
"""Candidates looked at, one width after the other, before the whole vocabulary is sorted."""

BLOCK = 512
"""Weights are first summed in blocks of so many tokens, because the running sum over a large vocabulary is slow."""

MANY = 16 * BLOCK
"""A vocabulary that is large in this sense."""

BELOW_ONE = 1 - 2**-24
"""The largest single-precision number below 1: a random number that rounds to 1 would pick no token."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """What limits the draw of some rows, each `[R, 1]`."""

    top_k: torch.Tensor
    """As many as there are tokens, for no limit."""
    top_p: torch.Tensor
    min_p: torch.Tensor
    width: int
    """Candidates that are probably enough."""

    def of(self, rows: torch.Tensor, width: int) -> "Cuts":
        return Cuts(self.top_k[rows], self.top_p[rows], self.min_p[rows], width)


def draw(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Where the cumulated `[R, V]` weights pass each row's share `numbers` `[R, 1]`, from 0 to BELOW_ONE, of their sum.

    Returns `[R]`. It is never a place of weight 0.
    """
    if weights.shape[-1] >= MANY:
        return _draw_in_blocks(weights, numbers)
    return _draw_one_by_one(weights, numbers)


def totals(weights: torch.Tensor) -> torch.Tensor:
    """The sums of `[R, V]` weights, `[R, 1]`: of each row the same alone as among others. PyTorch's own sum is not, of
    one row of over 32,767 numbers on several threads."""
    return _block_sums(weights).sum(-1, keepdim=True)


def _block_sums(weights: torch.Tensor) -> torch.Tensor:
    n_whole = weights.shape[-1] // BLOCK
    whole, rest = weights[:, : n_whole * BLOCK], weights[:, n_whole * BLOCK :]
    return torch.cat([whole.unflatten(-1, (n_whole, BLOCK)).sum(-1), rest.sum(-1, keepdim=True)], dim=-1)


def _draw_one_by_one(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    cumulated = weights.cumsum(-1)
    return _passed(cumulated, numbers * cumulated[:, -1:])[:, 0]


def _draw_in_blocks(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    n_vocabulary = weights.shape[-1]
    sums = _block_sums(weights)
    cumulated = sums.cumsum(-1)
    target = numbers * cumulated[:, -1:]
    block = _passed(cumulated, target)
    before = cumulated.gather(-1, block) - sums.gather(-1, block)
    places = block * BLOCK + torch.arange(BLOCK, device=weights.device)
    inside = weights.gather(-1, places.clamp(max=n_vocabulary - 1))
    inside = torch.where(places < n_vocabulary, inside, 0).cumsum(-1)
    # A block's sum and its running sum round differently, so the target may lie a little outside of it.
    target = torch.minimum((target - before).clamp_(min=0), inside[:, -1:] * BELOW_ONE)
    return (block * BLOCK + _passed(inside, target))[:, 0]


def _passed(cumulated: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The first index at which a running sum is larger than the target, `[R, 1]`; for a broken row, any."""
    return torch.searchsorted(cumulated, target, right=True).clamp_(max=cumulated.shape[-1] - 1)


def draw_cut(logits: torch.Tensor, temperature: torch.Tensor, numbers: torch.Tensor, cuts: Cuts) -> torch.Tensor:
    """Draw from the likeliest tokens only: top_k, then top_p of what that leaves, then min_p. `[R]`.

    Source: transformers' TopKLogitsWarper, TopPLogitsWarper and MinPLogitsWarper, in this order, but all three keep
    tokens that are as likely as the last that is kept.
    """
    width = min(cuts.width, logits.shape[-1])
    values, ids = logits.topk(width)
    weights = ((values - values[:, :1]) / temperature).exp_()
    least, is_whole = _least_kept(logits, values, weights, temperature, cuts)
    kept = values >= least
    ids, order = ids.sort(dim=-1)
    drawn = _draw_one_by_one(torch.where(kept, weights, 0).gather(-1, order), numbers)
    tokens = ids.gather(-1, drawn[:, None])[:, 0]
    if width < logits.shape[-1] and bool((unsure := kept[:, -1] | ~is_whole[:, 0]).any()):
        # There may be more tokens to keep, or to share in top_p, than were looked at.
        rows = unsure.nonzero()[:, 0]
        wider = next((one for one in WIDTHS if one > width), logits.shape[-1])
        tokens[rows] = draw_cut(logits[rows], temperature[rows], numbers[rows], cuts.of(rows, wider))
    return tokens


def _least_kept(
    logits: torch.Tensor, values: torch.Tensor, weights: torch.Tensor, temperature: torch.Tensor, cuts: Cuts
) -> tuple[torch.Tensor, torch.Tensor]:
    """The smallest logit that is kept, and whether all that top_k leaves was among `values`: both `[R, 1]`.

    `values` are the largest logits in order, `weights` their shares.
    """
    by_rank = values.gather(-1, cuts.top_k.clamp(max=values.shape[-1]) - 1)
    weights = torch.where(values >= by_rank, weights, 0)
    cumulated = weights.cumsum(-1)
    mass = cumulated[:, -1:]
    is_open = cuts.top_k >= logits.shape[-1]
    if bool(is_open.any()):
        mass = torch.where(is_open, totals(((logits - values[:, :1]) / temperature).exp_()), mass)
    is_kept = (cumulated - weights < cuts.top_p * mass) & (weights >= cuts.min_p) & (weights > 0)
    return torch.where(is_kept, values, torch.inf).amin(-1, keepdim=True), is_open | (values[:, -1:] < by_rank)


def cuts_of(limits: Sequence[tuple[int, float, float]], n_vocabulary: int, device: torch.device) -> Cuts:
    """From each row's top_k (0 for none), top_p and min_p."""
    top_k = [min(k, n_vocabulary) if k > 0 else n_vocabulary for k, _, _ in limits]
    # Somewhat more than the k likeliest, to see that none is as likely as the last of them.
    width = max(k + 8 if k < n_vocabulary else WIDTHS[0] for k in top_k)
    return Cuts(
        top_k=torch.tensor(top_k, device=device)[:, None],
        top_p=torch.tensor([p for _, p, _ in limits], dtype=torch.float32, device=device)[:, None],
        min_p=torch.tensor([p for _, _, p in limits], dtype=torch.float32, device=device)[:, None],
        width=width,
    )
