"""How many tokens a prompt has that no worker of ours can count, because a provider reads it. Pure.

The bound is for reserving: a token of any tokenizer is at least a byte, so a text has no more tokens than bytes, and no
prompt has more than the context. The guess is for the books of an answer that broke off: about four characters a token
is what providers themselves tell for English texts. Either is used only until the provider tells what it counted.
"""

import json
from math import ceil
from typing import Any

from apps.workers.images import image_urls

MESSAGE_TOKENS = 16
"""What a template writes around a message, at most."""
TOOLS_TOKENS = 1024
"""What a provider writes about tools in general. Source: Anthropic, "Tool use", the prompts' token counts."""
CHARS_PER_TOKEN = 4
IMAGE_TOKENS = 1600
"""About what a large image takes. Source: Anthropic, "Vision", "Calculate image costs"."""


def token_bound(prompt: dict[str, Any]) -> int:
    """No prompt of these fields has more tokens."""
    n_around = MESSAGE_TOKENS * _n_messages(prompt) + (TOOLS_TOKENS if prompt.get("tools") else 0)
    return _n_bytes(prompt) + n_around


def token_guess(prompt: dict[str, Any]) -> int:
    """About so many. A file says nothing of the tokens that its image takes."""
    urls = image_urls(prompt.get("messages"))
    return token_guess_of_bytes(_n_bytes(prompt) - sum(map(len, urls))) + IMAGE_TOKENS * len(urls)


def token_guess_of_bytes(n_bytes: int) -> int:
    """About so many, of a text that cannot be read."""
    return ceil(n_bytes / CHARS_PER_TOKEN)


def answer_guess(answer: dict[str, Any]) -> int:
    """About so many has a whole answer, whose provider did not tell. Vectors have none. A long one takes a while."""
    said = [choice.get("message") or choice.get("text") or "" for choice in answer.get("choices") or ()]
    return token_guess({"said": said}) if said else 0


def _n_bytes(prompt: dict[str, Any]) -> int:
    return sum(len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) for value in prompt.values())


def _n_messages(prompt: dict[str, Any]) -> int:
    messages = prompt.get("messages")
    return 1 + len(messages) if isinstance(messages, list) else 1
