"""How an answer ended, as one value that is stored, sent and compared. Pure but for the enumeration of states."""

from dataclasses import dataclass
from typing import Self

from apps.conversations.models import GenerationState
from apps.core.errors import SiteError


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that a person can read, with its stable code."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: SiteError) -> Self:
        return cls(code=error.code, message=error.message, retryable=error.retryable)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a generation. `state` is one of complete, stopped, failed; only failed has an error."""

    state: GenerationState
    finish_reason: str = ""
    error: Failure | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_ms: int | None = None
    tokens_per_s: float | None = None
