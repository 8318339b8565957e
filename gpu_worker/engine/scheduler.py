"""Which requests compute in the next step, and how many tokens of each.

Plain Python and pure: no clock, no thread, no tensor. The engine calls `plan` before each step and `finish` when a
request has ended.

A request knows its tokens (prompt and output) and how many of them have their keys and values in the cache. A step
computes some of the rest: one token for a request that decodes, a chunk for one whose prompt is not complete. A request
that was pre-empted is one whose prompt has become longer.

Of requests that run with the same prompt, such as the choices of one call, the first computes it. The others hold their
memory, wait for it and take it over, all but the last token, whose logits they need.

What happens at the bounds:

* beyond `max_batch + max_waiting` a request is refused (`QueueFull`), and so is one whose images would take more
  memory, with those of the others that run and wait, than `MAX_PICTURE_BYTES`;
* it waits while the batch or the cache is full. Order is priority, then arrival. The one at the head is never overtaken
  because others are smaller, and after `MAX_OVERTAKEN` later arrivals of higher priority it goes first: none starves;
* when running requests outgrow the cache, stored prefixes are dropped, then the least important and latest request is
  pre-empted: it gives its memory back, waits at the head of its priority and computes its tokens again. The first
  request always fits, so there is always progress.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_worker.engine.prefix import BLOCK_TOKENS, PrefixStore
from gpu_worker.engine.request import Request, RequestState

MAX_OVERTAKEN = 64

HEADROOM_TOKENS = 64
"""What each running request may still grow by when another one is admitted."""

SCORED_TOKENS = 256
"""The most prompt tokens per step of a request that asks for their log probabilities: each is a whole row of logits."""

MAX_PICTURE_BYTES = 4 * 2**30
"""Of memory for what images look like to the model: an image of 16,000 places may take 300 MB."""

Footprint = Callable[[Sequence[int]], int]
"""Tokens of cache that rows of these lengths occupy together, padding included."""


class QueueFull(Exception):
    """As many requests, or images, run and wait as may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one engine."""

    max_batch: int
    max_waiting: int
    cache_tokens: int
    """What rows and stored prefixes may occupy together."""
    prefill_tokens: int
    """The most prompt tokens per step; `PrefillPace` goes below it while others decode."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """`n_tokens` of what a request knows, from `start`."""

    request: Request
    start: int
    n_tokens: int

    @property
    def is_last(self) -> bool:
        """Whether the next token can be chosen after it."""
        return self.start + self.n_tokens == self.request.n_known

    @property
    def is_scored(self) -> bool:
        """The logits of all its tokens are wanted, not only the last one's."""
        return self.request.is_scored


@dataclass(frozen=True, slots=True)
class Share:
    """`n_tokens` from `start` on that `giver` has computed, to be copied into the row of `taker`."""

    giver: Request
    taker: Request
    start: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What to compute now, after rows were taken from `preempted`, given to `admitted`, and filled by `shared`."""

    preempted: list[Request]
    admitted: list[Request]
    reused: dict[str, list[Any]]
    """For each admitted request the stored blocks with which it begins; they count as computed already."""
    shared: list[Share]
    """In this order: what one request takes, the next one may take from it. They count as computed already."""
    decode: list[Chunk]
    prefill: list[Chunk]

    @property
    def chunks(self) -> list[Chunk]:
        return self.decode + self.prefill

    @property
    def n_prompt_tokens(self) -> int:
        return sum(chunk.n_tokens for chunk in self.prefill)


STALL_S = 0.15
"""What the prompts in a step may add to the time between two tokens of the streams that run."""


class PrefillPace:
    """How many prompt tokens a step may take, so that a long prompt does not stall the streams that run.

    It learns from how long prompts have taken. While nobody else decodes, nobody is stalled, and the most is allowed.
    """

    def __init__(self, most: int, *, target_s: float = STALL_S, least: int = 32) -> None:
        self._most = most
        self._target_s = target_s
        self._least = min(least, most)
        self._tokens_per_s: float | None = None

    def observe(self, n_prompt_tokens: int, n_decoded: int, duration_s: float) -> None:
        """A step took so long. Few prompt tokens say little: then it was mostly overhead.

        Tokens that were decoded in it count as much as prompt tokens. If all its time were the prompts', many streams
        would make prompts look slow, so that ever fewer of their tokens were computed beside them.
        """
        if n_prompt_tokens >= self._least and duration_s > 0:
            rate = (n_prompt_tokens + n_decoded) / duration_s
            known = self._tokens_per_s
            self._tokens_per_s = rate if known is None else 0.7 * known + 0.3 * rate

    def budget(self, *, others_decode: bool) -> int:
        if not others_decode or self._tokens_per_s is None:
            return self._most
        return max(self._least, min(self._most, int(self._tokens_per_s * self._target_s)))


@dataclass(order=True, slots=True)
class _Place:
    """A waiting request's place in the queue: smaller is earlier."""

    priority: int
    arrival: int
    request: Request = field(compare=False)
    n_overtaken: int = field(default=0, compare=False)


class Scheduler:
    """The waiting queue and the running set of one engine."""

    def __init__(
        self,
        limits: Limits,
        footprint: Footprint,
        prefixes: PrefixStore | None = None,
        *,
        splits_prompts: bool = True,
    ) -> None:
        """`splits_prompts`: parts of one may be computed and taken over; otherwise it takes one step, however long."""
        self.limits = limits
        self.pace = PrefillPace(limits.prefill_tokens)
        self.prefixes = prefixes if prefixes is not None else PrefixStore()
        self.running: list[Request] = []
        self._footprint = footprint
        self._splits_prompts = splits_prompts
        self._queue: list[_Place] = []
        self._places: dict[str, _Place] = {}
        """Of all requests that run or wait, by id."""
        self._n_arrived = 0

    @property
    def waiting(self) -> list[Request]:
        return [place.request for place in self._queue]

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    def add(self, request: Request) -> None:
        """Raises: QueueFull. A request that could never fit the cache is a ValueError: refuse it before."""
        if self._footprint([request.n_reserved]) > self.limits.cache_tokens:
            raise ValueError(f"{request.n_reserved} tokens can never fit a cache of {self.limits.cache_tokens}")
        # Together: one that has just arrived on an idle engine waits for a moment too.
        if len(self._places) >= self.limits.max_waiting + self.limits.max_batch:
            raise QueueFull(f"{len(self.running)} requests run and {len(self._queue)} wait")
        self._refuse_many_pictures(request)
        place = _Place(request.params.priority, self._n_arrived, request)
        self._n_arrived += 1
        self._places[request.id] = place
        self._overtake(place)
        insort(self._queue, place)

    def plan(self) -> StepPlan:
        """Make room, admit what fits, then divide the prefill budget among the prompts in their order of arrival."""
        preempted = self._preempt()
        reused = {} if preempted else self._admit()
        shared = self._share()
        decode = [Chunk(r, r.n_computed, 1) for r in self.running if r.state is RequestState.DECODING]
        prefill = self._prefill_chunks(self.pace.budget(others_decode=bool(decode)))
        admitted = [request for request in self.running if request.id in reused]
        return StepPlan(preempted, admitted, reused, shared, decode, prefill)

    def finish(self, request: Request) -> None:
        """Forget a request, wherever it is. One that is already forgotten is left alone."""
        request.state = RequestState.FINISHED
        place = self._places.pop(request.id, None)
        if place is None:
            return
        if request in self.running:
            self.running.remove(request)
        else:
            self._queue.remove(place)

    def room_for_prefixes(self) -> int:
        """Tokens that the running requests leave to the store."""
        return max(self.limits.cache_tokens - self._footprint(self._lengths()), 0)

    def _refuse_many_pictures(self, newcomer: Request) -> None:
        """One is always taken where no other has images. What the choices of a call show counts once."""
        if not newcomer.pictures:
            return
        held = {id(picture): picture.n_bytes for place in self._places.values() for picture in place.request.pictures}
        further = {id(picture): picture.n_bytes for picture in newcomer.pictures}
        if held and sum((held | further).values()) > MAX_PICTURE_BYTES:
            raise QueueFull(f"the images of requests that run and wait take {sum(held.values()) >> 20} MiB")

    def _lengths(self) -> list[int]:
        # A row holds at the end of a step what its request knows at the beginning of it.
        return [request.n_known for request in self.running]

    def _preempt(self) -> list[Request]:
        preempted: list[Request] = []
        while self._footprint(self._lengths()) > self.limits.cache_tokens:
            place = max(self._places[request.id] for request in self.running)
            self.running.remove(place.request)
            place.request.state = RequestState.WAITING
            place.request.n_computed = 0
            insort(self._queue, place)
            preempted.append(place.request)
        self.prefixes.shrink_to(self.room_for_prefixes())
        return preempted

    def _admit(self) -> dict[str, list[Any]]:
        """Move requests from the queue into the batch; return the stored blocks that each begins with."""
        reused: dict[str, list[Any]] = {}
        while self._queue and len(self.running) < self.limits.max_batch:
            request = self._queue[0].request
            # Room to grow for everybody, or the next step might pre-empt what this one admits.
            lengths = [length + HEADROOM_TOKENS for length in self._lengths()]
            if self.running and self._footprint([*lengths, request.n_known]) > self.limits.cache_tokens:
                break
            self._queue.pop(0)
            blocks = [] if request.is_scored else self.prefixes.match(request.known_ids(), request.prefix_salt)
            reused[request.id] = blocks
            request.n_computed = len(blocks) * BLOCK_TOKENS
            request.state = RequestState.PREFILLING
            self.running.append(request)
            self.prefixes.shrink_to(self.room_for_prefixes())
        return reused

    def _share(self) -> list[Share]:
        """Let requests take over what others with the same prompt have computed of it."""
        shares: list[Share] = []
        if not self._splits_prompts:
            return shares
        for taker in self._prefilling():
            start, end = taker.n_computed, taker.n_shareable
            if start >= end:
                continue
            givers = (one for one in self.running if one.n_computed >= end and one.has_prompt_of(taker))
            giver = next(givers, None)
            if giver is not None:
                shares.append(Share(giver, taker, start, end - start))
                taker.n_computed = end
        return shares

    def _prefilling(self) -> list[Request]:
        return [request for request in self.running if request.state is RequestState.PREFILLING]

    def _overtake(self, newcomer: _Place) -> None:
        """Count who is overtaken; one that was overtaken often enough gets in front of everybody."""
        moved = False
        for place in self._queue:
            if newcomer < place:
                place.n_overtaken += 1
                if place.n_overtaken == MAX_OVERTAKEN:
                    place.priority, moved = FIRST, True
        if moved:
            self._queue.sort()

    def _prefill_chunks(self, budget: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        computing: list[Request] = []
        for request in self._prefilling():
            if request.n_computed < request.n_shareable and any(map(request.has_prompt_of, computing)):
                continue  # it takes over what they compute
            if budget == 0:
                break
            n_left = request.n_known - request.n_computed
            n_tokens = min(n_left, budget)
            if not self._splits_prompts:
                if chunks and n_left > budget:
                    break
                n_tokens = n_left
            elif request.is_scored:
                n_tokens = min(n_tokens, SCORED_TOKENS)
            chunks.append(Chunk(request, request.n_computed, n_tokens))
            budget = max(budget - n_tokens, 0)
            if self._splits_prompts and not request.is_scored:
                computing.append(request)
        return chunks


FIRST = -(2**31)
"""Before every priority that a request may have."""


def longest_row(footprint: Footprint, cache_tokens: int) -> int:
    """The most tokens that a request can hold in an empty cache of this size; rows take memory in blocks."""
    low, high = 0, cache_tokens
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if footprint([middle]) <= cache_tokens else (low, middle - 1)
    return low
