"""Which requests compute in the next step, and how many prompt tokens of each.

Plain Python and pure: no clock, no thread, no tensor. The engine calls `plan` before each step and `finish` when a
request has ended.

What happens at the bounds: a request beyond `max_batch + max_waiting` is refused (`QueueFull`); one beyond `max_batch`
or the cache budget waits. Order is first come, first served: a large request at the head is never overtaken, so none
starves.
"""

from collections import deque
from dataclasses import dataclass

from gpu_worker.engine.request import Request, RequestState

SCORED_TOKENS = 256
"""The most prompt tokens per step of a request that asks for their log probabilities: each is a whole row of logits."""


class QueueFull(Exception):
    """As many requests run and wait as may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one engine."""

    max_batch: int
    max_waiting: int
    cache_tokens: int
    """Rows times longest row may not exceed this: the cache is a rectangle."""
    prefill_tokens: int
    """The most prompt tokens per step; `PrefillPace` goes below it while others decode."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """`n_tokens` of a request's prompt, from `start`."""

    request: Request
    start: int
    n_tokens: int

    @property
    def completes_prompt(self) -> bool:
        return self.start + self.n_tokens == self.request.n_prompt

    @property
    def is_scored(self) -> bool:
        """The logits of all its tokens are wanted, not only the last one's."""
        return self.request.params.prompt_logprobs is not None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What to compute now. `admitted` have just left the queue and have no row in the cache yet."""

    admitted: list[Request]
    prefill: list[Chunk]
    decode: list[Request]

    @property
    def is_empty(self) -> bool:
        return not self.prefill and not self.decode


class PrefillPace:
    """How many prompt tokens a step may take, so that a long prompt does not stall the streams that run.

    It learns from how long prompts have taken. While nobody else decodes, nobody is stalled, and the most is allowed.
    """

    def __init__(self, most: int, *, target_s: float = 0.2, least: int = 32) -> None:
        self._most = most
        self._target_s = target_s
        self._least = min(least, most)
        self._tokens_per_s: float | None = None

    def observe(self, n_tokens: int, duration_s: float) -> None:
        """So many prompt tokens took so long. A few tokens say little: they are mostly overhead."""
        if n_tokens >= self._least and duration_s > 0:
            rate = n_tokens / duration_s
            known = self._tokens_per_s
            self._tokens_per_s = rate if known is None else 0.7 * known + 0.3 * rate

    def budget(self, *, others_decode: bool) -> int:
        if not others_decode or self._tokens_per_s is None:
            return self._most
        return max(self._least, min(self._most, int(self._tokens_per_s * self._target_s)))


class Scheduler:
    """The waiting queue and the running set of one engine."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pace = PrefillPace(limits.prefill_tokens)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def add(self, request: Request) -> None:
        """Raises: QueueFull. A request that could never fit the cache is a ValueError: refuse it before."""
        if request.n_reserved > self.limits.cache_tokens:
            raise ValueError(f"{request.n_reserved} tokens can never fit a cache of {self.limits.cache_tokens}")
        # Together: one that has just arrived on an idle engine waits for a moment too.
        if len(self.waiting) + len(self.running) >= self.limits.max_waiting + self.limits.max_batch:
            raise QueueFull(f"{len(self.running)} requests run and {len(self.waiting)} wait")
        self.waiting.append(request)

    def plan(self) -> StepPlan:
        """Admit what fits, then share the prefill budget among the prompts in their order of arrival."""
        admitted = self._admit()
        decode = [request for request in self.running if request.state is RequestState.DECODING]
        budget = self.pace.budget(others_decode=bool(decode))
        return StepPlan(admitted=admitted, prefill=self._prefill_chunks(budget), decode=decode)

    def finish(self, request: Request) -> None:
        """Forget a request, wherever it is. One that is already forgotten is left alone."""
        request.state = RequestState.FINISHED
        if request in self.running:
            self.running.remove(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def _admit(self) -> list[Request]:
        admitted: list[Request] = []
        longest = max((request.n_reserved for request in self.running), default=0)
        while self.waiting and len(self.running) < self.limits.max_batch:
            longest = max(longest, self.waiting[0].n_reserved)
            if longest * (len(self.running) + 1) > self.limits.cache_tokens:
                break
            request = self.waiting.popleft()
            request.state = RequestState.PREFILLING
            self.running.append(request)
            admitted.append(request)
        return admitted

    def _prefill_chunks(self, budget: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        for request in self.running:
            if request.state is not RequestState.PREFILLING:
                continue
            if budget == 0:
                break
            n_tokens = min(request.n_prompt - request.n_prefilled, budget)
            if request.params.prompt_logprobs is not None:
                n_tokens = min(n_tokens, SCORED_TOKENS)
            chunks.append(Chunk(request, request.n_prefilled, n_tokens))
            budget -= n_tokens
        return chunks
