"""What a training process tells the one that started it: one JSON object per line on standard output.

Standard library only, for both sides. Unknown kinds are an error: both sides come from one source tree.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar


class MessageError(ValueError):
    """A line that is not one of the messages below."""

    code = "training.message_invalid"


@dataclass(frozen=True, slots=True)
class Preparing:
    """Something slow goes on before the first step; `what` is a phrase for people."""

    kind: ClassVar[str] = "preparing"
    what: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that people should know, in a sentence."""

    kind: ClassVar[str] = "noted"
    what: str


@dataclass(frozen=True, slots=True)
class Started:
    """The first step is about to run; `first_step` is above 1 after a resume."""

    kind: ClassVar[str] = "started"
    first_step: int
    total_steps: int
    n_parameters: int
    n_training_tokens: int
    device: str
    dtype: str
    data_hash: str
    code_version: str


@dataclass(frozen=True, slots=True)
class StepDone:
    kind: ClassVar[str] = "step"
    step: int
    loss: float
    learning_rate: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    kind: ClassVar[str] = "checkpoint"
    step: int
    path: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Held-out accuracy per task, between 0 and 1."""

    kind: ClassVar[str] = "evaluated"
    accuracy: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    kind: ClassVar[str] = "finished"
    step: int
    directory: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Stopped by a signal, or because nobody reads any more; a checkpoint of this step was saved."""

    kind: ClassVar[str] = "stopped"
    step: int


@dataclass(frozen=True, slots=True)
class Failed:
    kind: ClassVar[str] = "failed"
    code: str
    message: str


Message = Preparing | Noted | Started | StepDone | CheckpointSaved | Evaluated | Finished | Stopped | Failed
_KINDS: dict[str, type[Message]] = {
    cls.kind: cls
    for cls in (Preparing, Noted, Started, StepDone, CheckpointSaved, Evaluated, Finished, Stopped, Failed)
}


def encode_message(message: Message) -> str:
    """One line without its newline."""
    return json.dumps({"kind": message.kind, **dataclasses.asdict(message)}, ensure_ascii=False)


def decode_message(line: str) -> Message:
    """The inverse of `encode_message`.

    Raises:
        MessageError: no JSON object, an unknown kind, missing or unknown fields.
    """
    try:
        fields = json.loads(line)
        return _KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise MessageError(f"not a training message: {line[:200]!r}") from exc
