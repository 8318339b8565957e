"""What a provider tells of tokens, as numbers that can be kept and added up. Pure.

Providers tell odd things: no sum, a negative number, a text. What cannot be read counts as not told, so that an answer
which is paid for is not lost with it; the books then have an estimate, marked as such.

Source: OpenAI API reference, "The chat completion object", `usage`.
"""

from typing import Any

Json = dict[str, Any]

MOST_TOKENS = 2**31 - 1
"""Of one answer. A larger number is a mistake."""

_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


def usage_of(told: object) -> Json | None:
    """In OpenAI's form, always with the sum; None if it tells no number of tokens."""
    if not isinstance(told, dict):
        return None
    n_prompt, n_completion = count_of(told.get("prompt_tokens")), count_of(told.get("completion_tokens"))
    n_total = count_of(told.get("total_tokens"))
    if n_prompt is None and n_completion is None and n_total is None:
        return None
    usage = {"prompt_tokens": n_prompt or 0}
    if n_completion is not None:  # vectors have none
        usage["completion_tokens"] = n_completion
    # Some count thoughts in the sum alone, so it is not computed where it is told.
    usage["total_tokens"] = n_total or min((n_prompt or 0) + (n_completion or 0), MOST_TOKENS)
    return usage | {name: _details(told[name]) for name in _DETAILS if isinstance(told.get(name), dict)}


def count_of(value: object) -> int | None:
    """A number of tokens, `MOST_TOKENS` at most; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
        return None
    return min(int(value), MOST_TOKENS)


def _details(told: Json) -> Json:
    return {name: n for name, value in told.items() if (n := count_of(value)) is not None}
