"""Conversations to token ids, and which of them the model is trained on: the assistant's words and its end token.

Pure; no model. What it writes equals what the tokenizer's chat template renders (tested).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpu_worker.training.curriculum.turns import Message

ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Token ids of the marks around messages; `roles` maps a role to the token that opens it."""

    begin: int
    end: int
    roles: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One conversation, shape [T] each: `trained[i]` says whether token i is something the model should write.

    Arrays, because a training set holds tens of millions of tokens and a Python integer takes ten times the room.
    """

    tokens: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens)


def encode_conversation(
    messages: Sequence[Message], encode: Callable[[str], Sequence[int]], special: SpecialIds
) -> Document:
    """`<begin>`, then for each message its role token, its text and `<end>`."""
    tokens, trained = [special.begin], [False]
    for message in messages:
        text = encode(message["content"])
        is_assistant = message["role"] == ASSISTANT
        tokens += [special.roles[message["role"]], *text, special.end]
        # The role token is given, never written: it is what asks the model to answer.
        trained += [False, *([is_assistant] * (len(text) + 1))]
    return Document(np.asarray(tokens, dtype=np.int32), np.asarray(trained, dtype=np.bool_))
