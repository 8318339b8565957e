"""The body of a text completion, checked: what this worker takes, refuses by name, and ignores.

Source: OpenAI API reference, "Create completion" (legacy). It does not know models or tokens.
"""

from dataclasses import dataclass

from gpu_worker.errors import invalid
from gpu_worker.protocol import MAX_CHOICES, Json
from gpu_worker.server.call import (
    Call,
    parse_include_usage,
    parse_max_tokens,
    parse_n,
    parse_sampling,
    refuse_unsupported,
    token_ids,
)
from gpu_worker.server.fields import Fields, checked_text, kind
from gpu_worker.server.formats import parse_constraint

DEFAULT_MAX_TOKENS = 16
MAX_LEGACY_LOGPROBS = 5

NEUTRAL: dict[str, tuple[object, ...]] = {
    "suffix": ("",),
    "prompt_logprobs": (),
    "prompt_embeds": (),
    "generation_id": (),
}
"""Parameters that are known and not supported here, with the values that ask for nothing."""

Prompt = str | tuple[int, ...]
"""A text, or token ids."""


@dataclass(frozen=True, slots=True)
class CompletionCall(Call):
    """A checked text completion request. Each prompt gets `n` choices."""

    prompts: list[Prompt]
    echo: bool


def parse_completion(body: Json) -> CompletionCall:
    """Raises: WorkerError (invalid_request, unsupported_parameter) that names the field."""
    fields = Fields(body)
    refuse_unsupported(fields, NEUTRAL)
    echo = fields.flag("echo")
    logprobs = _logprobs(fields)
    max_tokens = _max_tokens(fields, echo=echo)
    scored = logprobs if echo else None
    if max_tokens == 0 and scored is None:
        scored = 0  # the engine would refuse a request that asks for nothing
    call = CompletionCall(
        model=fields.text("model"),
        n=parse_n(fields),
        max_tokens=max_tokens,
        sampling=parse_sampling(fields) | {"logprobs": logprobs, "prompt_logprobs": scored},
        constraint=parse_constraint(fields),
        stream=fields.flag("stream"),
        include_usage=parse_include_usage(fields),
        prompts=parse_prompts(fields.get("prompt")),
        echo=echo,
    )
    if len(call.prompts) * call.n > MAX_CHOICES:
        raise invalid(
            "prompt", f"at most {MAX_CHOICES} choices at once, found {len(call.prompts)} prompts times {call.n}"
        )
    call.check()
    return call


def parse_prompts(value: object) -> list[Prompt]:
    """A text, token ids, or a list of either. Raises: WorkerError (prompt)."""
    if isinstance(value, str):
        return [_prompt(value)]
    if not isinstance(value, list):
        raise invalid("prompt", f"expected a text, token ids, or a list of them, found {kind(value)}")
    if not value:
        raise invalid("prompt", "the list is empty")
    if not isinstance(value[0], str | list):
        return [_prompt(value)]
    if len(value) > MAX_CHOICES:
        raise invalid("prompt", f"at most {MAX_CHOICES} prompts at once, found {len(value)}")
    if any(type(item) is not type(value[0]) for item in value):
        raise invalid("prompt", "expected either only texts or only lists of token ids")
    return [_prompt(item) for item in value]


def _prompt(value: object) -> Prompt:
    if not value:
        raise invalid("prompt", "it is empty")
    return checked_text(value, "prompt") if isinstance(value, str) else token_ids(value, "prompt")


def _max_tokens(fields: Fields, *, echo: bool) -> int:
    value = parse_max_tokens(fields, ("max_tokens",), least=0)
    if value == 0 and not echo:
        raise invalid("max_tokens", "expected at least 1; 0 is allowed only with echo, to score a prompt")
    return DEFAULT_MAX_TOKENS if value is None else value


def _logprobs(fields: Fields) -> int | None:
    n_top = fields.integer("logprobs")
    if n_top is not None and not 0 <= n_top <= MAX_LEGACY_LOGPROBS:
        raise invalid("logprobs", f"expected a number from 0 to {MAX_LEGACY_LOGPROBS}, found {kind(n_top)}")
    return n_top
