"""What is asked of the pool."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, assert_never

from apps.accounts.actors import Actor
from apps.accounts.models import Limit
from apps.catalog.models import LanguageModel
from apps.workers.fairness import Place

OnPlace = Callable[[Place], Awaitable[None]]

MAKES_THE_PROMPT = ("messages", "tools", "tool_choice", "parallel_tool_calls")
"""Of a chat."""


class WorkerPath(StrEnum):
    """The doors of a worker that the pool forwards to. Source: OpenAI API reference, the paths of the same names."""

    CHAT_COMPLETIONS = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    TOKENIZE = "/v1/tokenize"
    """Not OpenAI's. Source: vLLM, "Tokenizer API"."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model, on behalf of `actor`. `body` is the worker's JSON; the model's name is put in for it."""

    actor: Actor
    model: str
    body: dict[str, Any]
    path: WorkerPath = WorkerPath.CHAT_COMPLETIONS
    asked_at: str = ""
    """Where the program asked, if that is not `path`; see `endpoint`."""
    on_place: OnPlace | None = field(default=None, compare=False)
    """Awaited with where the request stands, whenever that changes while it waits for its turn."""
    offered: LanguageModel | None = field(default=None, compare=False, repr=False)
    """The model's row, by whoever has just read it."""
    limits: list[Limit] = field(default_factory=list, compare=False, repr=False)
    """Those that it must keep: filled in by the meter when it lets the call in."""
    on_asked: Callable[[], None] | None = field(default=None, compare=False)
    """Called just before a worker is asked. The meter's: what no worker was asked costs nothing."""

    @property
    def endpoint(self) -> str:
        """By what keys are restricted, and what the ledger names."""
        return self.asked_at or str(self.path)

    @property
    def prompt(self) -> dict[str, Any]:
        """The fields of the body that the prompt is made of."""
        names = MAKES_THE_PROMPT if self.path is WorkerPath.CHAT_COMPLETIONS else ("prompt", "input")
        return {key: self.body[key] for key in names if key in self.body}

    @property
    def prefix_key(self) -> str:
        """Names the beginning that this call shares with the other turns of its conversation; empty if it has none.

        It is what comes before the first answer. A worker that computed it once has it still, most likely.
        """
        match self.path:
            case WorkerPath.CHAT_COMPLETIONS:
                beginning = _opening(self.body.get("messages"))
            case WorkerPath.COMPLETIONS:
                beginning = _first_characters(self.body.get("prompt"))
            case WorkerPath.EMBEDDINGS | WorkerPath.TOKENIZE:
                return ""
            case _:
                assert_never(self.path)
        if not beginning:
            return ""
        return hashlib.blake2b(
            f"{self.model}\0{beginning}".encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()


PREFIX_CHARS = 1024
"""Of a text to be completed. Longer ones with the same beginning share what is computed of that."""


def _opening(messages: object) -> str:
    """Everything up to the first message of a person, which is the same in all turns. The worker checks shapes."""
    if not isinstance(messages, list):
        return ""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    n = roles.index("user") + 1 if "user" in roles else len(messages)
    return json.dumps(messages[:n], sort_keys=True) if n else ""


def _first_characters(prompt: object) -> str:
    first = prompt[0] if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else prompt
    return (first if isinstance(first, str) else json.dumps(first))[:PREFIX_CHARS] if first else ""
