"""Conversations to token ids, and which of them the model is trained on: the assistant's words and its end token.

Pure; no model. What it writes equals what the tokenizer's chat template renders (tested).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_worker.training.curriculum.turns import Message

ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Token ids of the marks around messages; `roles` maps a role to the token that opens it."""

    begin: int
    end: int
    roles: dict[str, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One conversation: `trained[i]` says whether token i is something the model should learn to write."""

    tokens: tuple[int, ...]
    trained: tuple[bool, ...]


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
    return Document(tuple(tokens), tuple(trained))
