"""What is asked of the pool."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apps.accounts.actors import Actor


class WorkerPath(StrEnum):
    """The doors of a worker that the pool forwards to. Source: OpenAI API reference, the paths of the same names."""

    CHAT_COMPLETIONS = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model, on behalf of `actor`. `body` is the worker's JSON; the model's name is put in for it."""

    actor: Actor
    model: str
    body: dict[str, Any]
    path: WorkerPath = WorkerPath.CHAT_COMPLETIONS
