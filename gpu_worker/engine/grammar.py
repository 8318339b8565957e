"""Grammars that an answer must follow: which tokens may come next, row by row.

It runs on the engine's thread and compiles nothing (`grammar_compiler` does). xgrammar is imported with the first
grammar, so that a worker without any does not pay for it.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from gpu_worker.errors import WorkerError
from gpu_worker.protocol import WorkerErrorCode

if TYPE_CHECKING:
    import xgrammar

ALLOWED_S = 1.0
ALLOWED_PER_TOKEN_S = 0.02
"""CPU time that the masks of one answer may take. Usual grammars need less than a millisecond per token; an ambiguous
one may need more and more, on the thread that steps everybody's answers."""


class Grammar:
    """A compiled constraint. Shared by all answers that must follow it; any thread."""

    def __init__(self, compiled: "xgrammar.CompiledGrammar", param: str) -> None:
        self.compiled = compiled
        self.param = param
        """The field of the request that asks for it."""
        self.n_bytes: int = compiled.memory_size_bytes

    def start(self) -> "GrammarState":
        import xgrammar

        return GrammarState(xgrammar.GrammarMatcher(self.compiled), self.param)


class GrammarState:
    """How far one answer has come in its grammar. Used on the engine's thread."""

    def __init__(self, matcher: "xgrammar.GrammarMatcher", param: str) -> None:
        self._matcher = matcher
        self._param = param
        self._spent_s = 0.0
        self._n_masks = 0
        self.failure: WorkerError | None = None
        """Why no token is allowed any more."""

    def fill(self, bitmask: torch.Tensor, row: int) -> None:
        """Write which tokens may come next into `bitmask[row]`: none, with a `failure`, if there is no way on."""
        if self.failure is None:
            began_at = time.thread_time()
            try:
                self._matcher.fill_next_token_bitmask(bitmask, row)
            except RuntimeError as exc:  # whatever xgrammar finds wrong ends this answer, not the step of all
                self._fail(f"it could not be followed any further: {exc}")
            self._spent_s += time.thread_time() - began_at
            self._n_masks += 1
            if self._spent_s > ALLOWED_S + ALLOWED_PER_TOKEN_S * self._n_masks:
                self._fail("it takes too long to find out which tokens it allows")
            elif self.failure is None and not bool(bitmask[row].any()):
                self._fail("after this text no token of the model's vocabulary can follow it")
        if self.failure is not None:
            bitmask[row] = 0

    def accept(self, token_id: int) -> None:
        """Take a token that the mask allowed."""
        if self.failure is None and not self._matcher.accept_token(token_id):
            self._fail("the token that was drawn does not fit it")

    def _fail(self, problem: str) -> None:
        message = f"{self._param}: {problem}"
        self.failure = WorkerError(WorkerErrorCode.INVALID_REQUEST, message, param=self._param)


def forbid_others(logits: torch.Tensor, states: Sequence[tuple[int, GrammarState]]) -> None:
    """Set what the grammars of some rows of `[B, V]` logits do not allow to minus infinity, in place."""
    import xgrammar

    rows = [row for row, _ in states]
    bitmask = xgrammar.allocate_token_bitmask(logits.shape[0], logits.shape[-1])
    for row, state in states:
        state.fill(bitmask, row)
    # The kernels for CUDA are compiled when first used, which needs a compiler on the machine; plain torch does not.
    xgrammar.apply_token_bitmask_inplace(
        logits,
        bitmask.to(logits.device),
        vocab_size=logits.shape[-1],
        indices=rows,
        backend="cpu" if logits.device.type == "cpu" else "torch_native",
    )
