"""One generation as the engine sees it: token ids in, how to sample, and how far it has come.

Plain Python. It does not read text: prompts arrive as token ids.
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from gpu_worker.engine.logprobs import TokenLogprobs
from gpu_worker.engine.picture import Picture
from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import FinishReason

if TYPE_CHECKING:
    from gpu_worker.engine.grammar import Grammar

MAX_STOPS = 4
MAX_STOP_CHARACTERS = 1000
MAX_LOGIT_BIASES = 1024
MAX_STOP_TOKENS = 128
MAX_FORMAT_STOPS = 16
"""What a prompt format may add to stop strings and to stop tokens."""
MAX_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose the next token. Ranges are OpenAI's, or vLLM's for what OpenAI does not have.

    Source: OpenAI API reference, "Create chat completion"; vLLM SamplingParams for top_k, min_p, repetition_penalty,
    min_tokens, stop_token_ids and prompt_logprobs.
    Raises: WorkerError (invalid_request) that names the field.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """Only the k likeliest tokens; 0 for all."""
    min_p: float = 0.0
    """Only tokens at least this likely relative to the likeliest."""
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    """End the answer as the model's own end tokens do, also with `ignore_eos`."""
    min_tokens: int = 0
    """Before so many tokens no token that ends the answer is possible, and stop strings are not looked for."""
    ignore_eos: bool = False
    priority: int = 0
    """Lower goes first while requests wait for the engine, -100 to 100; it changes no token."""
    logprobs: int | None = None
    """Report each token's log probability, and so many of the likeliest tokens at its place."""
    prompt_logprobs: int | None = None
    """The same for the prompt's tokens. Its keys and values must then be computed, not taken from another request."""
    grammar: "Grammar | None" = None
    """What the answer must look like; it ends where the grammar lets it."""
    shows_markers: bool = False
    """Show the special tokens that mark tool calls, so that the calls can be read."""

    def __post_init__(self) -> None:
        # Without a token to generate there must be something else to do.
        _check_range("max_tokens", self.max_tokens, 1 if self.prompt_logprobs is None else 0, 2**31)
        _check_range("min_tokens", self.min_tokens, 0, self.max_tokens)
        _check_range("priority", self.priority, -100, 100)
        _check_range("temperature", self.temperature, 0, 2)
        _check_range("top_p", self.top_p, 0, 1, above=True)
        _check_range("top_k", self.top_k, 0, 2**31)
        _check_range("min_p", self.min_p, 0, 1)
        _check_range("repetition_penalty", self.repetition_penalty, 0, 10, above=True)
        _check_range("presence_penalty", self.presence_penalty, -2, 2)
        _check_range("frequency_penalty", self.frequency_penalty, -2, 2)
        if self.seed is not None:
            _check_range("seed", self.seed, -(2**63), 2**63 - 1)
        if len(self.logit_bias) > MAX_LOGIT_BIASES:
            raise invalid("logit_bias", f"at most {MAX_LOGIT_BIASES} tokens, found {len(self.logit_bias)}")
        for token, bias in self.logit_bias:
            _check_range("logit_bias", token, 0, 2**31)
            _check_range("logit_bias", bias, -100, 100)
        _check_stops(self.stop)
        if len(self.stop_token_ids) > MAX_STOP_TOKENS + MAX_FORMAT_STOPS:
            raise invalid("stop_token_ids", f"at most {MAX_STOP_TOKENS} tokens, found {len(self.stop_token_ids)}")
        for token in self.stop_token_ids:
            _check_range("stop_token_ids", token, 0, 2**31)
        for name, n_top in (("logprobs", self.logprobs), ("prompt_logprobs", self.prompt_logprobs)):
            if n_top is not None:
                _check_range(name, n_top, 0, MAX_LOGPROBS)
        if self.grammar is not None:
            refuse_going_on(ignore_eos=self.ignore_eos, min_tokens=self.min_tokens)

    def stopping_also(self, stop: Sequence[str], stop_token_ids: Sequence[int]) -> "SamplingParams":
        """The same, ending also where the prompt's format ends a turn."""
        strings = dict.fromkeys((*self.stop, *stop))
        tokens = dict.fromkeys((*self.stop_token_ids, *stop_token_ids))
        return replace(self, stop=tuple(strings), stop_token_ids=tuple(tokens))

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    @property
    def has_penalties(self) -> bool:
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


def choice_seed(seed: int | None, index: int) -> int | None:
    """The seed of the choice `index` of several; the first has the seed that was given."""
    if seed is None or index == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def refuse_going_on(*, ignore_eos: bool, min_tokens: int) -> None:
    """An answer in a given format ends where the format ends. Raises: WorkerError (invalid_request)."""
    for name, is_asked in (("ignore_eos", ignore_eos), ("min_tokens", min_tokens > 0)):
        if is_asked:
            raise invalid(name, "it cannot be combined with a format that the answer must have")


def _check_range(name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    """`above`: the low end itself is not allowed."""
    if not low <= value <= high or (above and value == low):  # so NaN is refused too
        edge = "above" if above else "from"
        raise invalid(name, f"expected a number {edge} {low:g} to {high:g}, found {str(value)[:40]}")


def _check_stops(stops: tuple[str, ...]) -> None:
    if len(stops) > MAX_STOPS + MAX_FORMAT_STOPS:
        raise invalid("stop", f"at most {MAX_STOPS} stop strings, found {len(stops)}")
    for stop in stops:
        if not stop or len(stop) > MAX_STOP_CHARACTERS:
            raise invalid("stop", f"a stop string has 1 to {MAX_STOP_CHARACTERS} characters, found {len(stop)}")


class RequestState(StrEnum):
    """Where a request is. It moves down this list, but for one that is pre-empted: it waits again."""

    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    FINISHED = "finished"


@dataclass(slots=True, eq=False)
class Request:
    """One generation. The engine's thread owns it from `submit` to its last output; nobody else may change it."""

    id: str
    prompt_ids: list[int]
    params: SamplingParams
    arrived_at: float
    """`time.perf_counter()` when the server took it."""
    adapter: str | None = None
    """Key of the adapter (`engine.lora`) that it computes with. Keys and values of a prompt depend on it."""
    pictures: tuple[Picture, ...] = ()
    """What stands at the places of its prompt that are kept for images, in this order. Keys and values depend on it."""
    state: RequestState = RequestState.WAITING
    n_computed: int = 0
    """Tokens whose keys and values are in the cache."""
    n_cached: int | None = None
    """Tokens of the prompt that were copied and never computed for it; None until it has computed one."""
    output_ids: list[int] = field(default_factory=list)
    _prompt_key: bytes = field(init=False, repr=False)
    """Stands for the prompt in comparisons: prompts may be long, alike for long, and many."""

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise invalid("messages", "the prompt has no tokens")
        self._prompt_key = hashlib.blake2b(array("q", self.prompt_ids).tobytes(), digest_size=16).digest()

    @property
    def n_prompt(self) -> int:
        return len(self.prompt_ids)

    @property
    def n_known(self) -> int:
        """Prompt and output so far."""
        return len(self.prompt_ids) + len(self.output_ids)

    def known_ids(self) -> list[int]:
        return self.prompt_ids + self.output_ids

    def computed(self, start: int, n_tokens: int) -> None:
        """Take note that so many tokens from `start` now have their keys and values."""
        self.n_computed = start + n_tokens
        # The first place that it ever computed at: what it computes again, after it was pre-empted, changes nothing.
        self.n_cached = min(start, self.n_prompt if self.n_cached is None else self.n_cached)

    @property
    def prefix_salt(self) -> str:
        """What besides the tokens decides about their keys and values."""
        return "|".join([self.adapter or "", *(picture.digest for picture in self.pictures)])

    @property
    def is_scored(self) -> bool:
        """Whether its prompt's log probabilities are still to be computed: then nothing may stand for the prompt."""
        return self.params.prompt_logprobs is not None and not self.output_ids

    @property
    def n_shareable(self) -> int:
        """Tokens whose keys and values another request with this prompt may compute for it.

        The last token that it knows is its own to compute: what follows is sampled from that.
        """
        return 0 if self.is_scored else min(self.n_prompt, self.n_known - 1)

    def has_prompt_of(self, other: "Request") -> bool:
        """Whether keys and values of its prompt are those of the other's."""
        return self._prompt_key == other._prompt_key and self.prefix_salt == other.prefix_salt

    @property
    def n_reserved(self) -> int:
        """The most tokens it can ever hold in the cache."""
        return len(self.prompt_ids) + self.params.max_tokens


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one step added to one request. `text` may be empty: half a character or a possible stop string is held."""

    request_id: str
    text: str
    n_tokens: int
    """Tokens generated so far, the end token or the one that completed a stop string included."""
    finish_reason: FinishReason | None = None
    error: WorkerError | None = None
    logprobs: tuple[TokenLogprobs, ...] = ()
    """Of the tokens whose text begins in `text`; with the last output, of all that are left."""
    prompt_logprobs: tuple[TokenLogprobs, ...] | None = None
    """With the first output, when asked for: of each prompt token but the first, which nothing comes before."""
    n_cached: int | None = None
    """Tokens of the prompt that were not computed; None while nobody knows."""

    @property
    def is_last(self) -> bool:
        return self.finish_reason is not None or self.error is not None
