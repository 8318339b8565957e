"""What chat and text completions have in common: how to sample, how many choices, streamed or not.

Source: OpenAI API reference; vLLM's "extra parameters" for what OpenAI does not have. It knows no models and no tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gpu_worker.engine.constraint import Constraint
from gpu_worker.engine.request import MAX_STOP_TOKENS, MAX_STOPS, SamplingParams, refuse_going_on
from gpu_worker.errors import invalid, unsupported
from gpu_worker.protocol import MAX_CHOICES
from gpu_worker.server.fields import Fields, checked_text, kind

T = TypeVar("T")

MOST_TOKENS = 2**31

NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")

NEUTRAL: dict[str, tuple[object, ...]] = {
    "use_beam_search": (False,),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "allowed_token_ids": ([],),
    "bad_words": ([],),
    "logits_processors": ([],),
    "structured_outputs": (),
    "guided_whitespace_pattern": (),
    "guided_decoding_backend": (),
}
"""Sampling parameters that vLLM knows and this worker does not do, with the values that ask for nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """`sampling` holds what the request says; the rest is up to the model."""

    model: str
    n: int
    max_tokens: int | None
    sampling: dict[str, Any]
    constraint: Constraint | None
    """What the answer must look like."""
    stream: bool
    include_usage: bool

    @property
    def has_logprobs(self) -> bool:
        return self.sampling["logprobs"] is not None

    def params(self, n_free: int, defaults: Mapping[str, Any]) -> SamplingParams:
        """With the model's `defaults`, and `max_tokens` cut to what fits the context. Raises: WorkerError."""
        wanted = n_free if self.max_tokens is None else min(self.max_tokens, n_free)
        return SamplingParams(max_tokens=wanted, **{**defaults, **self.sampling})

    def check(self) -> None:
        """Refuse values out of range, before any text is rendered. Raises: WorkerError."""
        self.params(MOST_TOKENS, {})
        if self.constraint is not None:
            refuse_going_on(ignore_eos=self.sampling["ignore_eos"], min_tokens=self.sampling.get("min_tokens", 0))


def refuse_unsupported(fields: Fields, neutral: Mapping[str, tuple[object, ...]]) -> None:
    """`neutral`: parameters that are known and not supported, with the values that ask for nothing."""
    for name, harmless in {**NEUTRAL, **neutral}.items():
        value = fields.get(name)
        if value is not None and not any(value == one for one in harmless):
            raise unsupported(name, "this worker does not support it")


def parse_n(fields: Fields) -> int:
    """How many choices. `best_of` may only say the same: choosing among more is not supported."""
    n = fields.integer("n")
    n = 1 if n is None else n
    if not 1 <= n <= MAX_CHOICES:
        raise invalid("n", f"expected a number from 1 to {MAX_CHOICES}, found {kind(n)}")
    best_of = fields.integer("best_of")
    if best_of is not None and best_of != n:
        raise unsupported("best_of", f"this worker does not choose among more answers than it returns (n is {n})")
    return n


def parse_max_tokens(fields: Fields, names: Sequence[str], *, least: int = 1) -> int | None:
    """The first of `names` that is given."""
    for name in names:
        value = fields.integer(name)
        if value is not None:
            if value < least:
                raise invalid(name, f"expected at least {least}, found {kind(value)}")
            return value
    return None


def parse_sampling(fields: Fields) -> dict[str, Any]:
    top_k = fields.integer("top_k")
    given = {name: fields.number(name) for name in NUMBERS} | {
        "top_k": 0 if top_k == -1 else top_k,  # vLLM's word for all
        "seed": fields.integer("seed"),
        "min_tokens": fields.integer("min_tokens"),
        "priority": fields.integer("priority"),
    }
    return {name: value for name, value in given.items() if value is not None} | {
        "logit_bias": _logit_bias(fields.get("logit_bias")),
        "stop": _at_most(MAX_STOPS, "stop", _stop(fields.get("stop"))),
        "stop_token_ids": _at_most(
            MAX_STOP_TOKENS, "stop_token_ids", token_ids(fields.get("stop_token_ids"), "stop_token_ids")
        ),
        "ignore_eos": fields.flag("ignore_eos"),
    }


def _at_most(limit: int, name: str, values: tuple[T, ...]) -> tuple[T, ...]:
    """What a request may ask for itself: the prompt's format may add to it."""
    if len(values) > limit:
        raise invalid(name, f"at most {limit}, found {len(values)}")
    return values


def _logit_bias(value: object) -> tuple[tuple[int, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise invalid("logit_bias", f"expected an object of token ids and numbers, found {kind(value)}")
    fields = Fields(value, "logit_bias")
    for token in value:
        if not (token.isascii() and token.isdecimal()) or len(token) > 9:
            raise invalid("logit_bias", f"expected token ids, found {token[:40]!r}")
    return tuple((int(token), float(fields.number(token) or 0.0)) for token in value)


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list):
        raise invalid("stop", f"expected a text or a list of texts, found {kind(value)}")
    for stop in stops:
        if not isinstance(stop, str):
            raise invalid("stop", f"expected texts, found {kind(stop)}")
    return tuple(checked_text(stop, "stop") for stop in stops)


def token_ids(value: object, name: str) -> tuple[int, ...]:
    """A list of whole numbers from 0; whether the model has such tokens is asked later."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid(name, f"expected a list of token ids, found {kind(value)}")
    for token in value:
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise invalid(name, f"expected token ids, found {kind(token)}")
    return tuple(value)


def parse_include_usage(fields: Fields) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise invalid("stream_options", f"expected an object, found {kind(options)}")
    if not fields.flag("stream"):
        raise invalid("stream_options", "it is allowed only with stream: true")
    return Fields(options, "stream_options").flag("include_usage")
