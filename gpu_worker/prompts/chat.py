"""Chat messages to token ids, by the tokenizer's own chat template.

The template comes with the model, so it runs in transformers' immutable sandbox. It knows no HTTP: messages arrive
checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import WorkerErrorCode

MAX_RENDERED_CHARACTERS = 16 * 1024 * 1024
"""A template that turns messages into more text than this is broken or hostile."""

SAFETY = 4
"""A normaliser may shorten text before it is cut into tokens; none in use shortens it fourfold."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `role` is system, user or assistant."""

    role: str
    content: str


class Prompter:
    """Renders and counts prompts for one model. Safe to use from several threads."""

    def __init__(self, model: str, tokenizer: Any, context_length: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._context_length = context_length
        self._longest_token = max(map(len, tokenizer.get_vocab()), default=1)

    def chat_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a chat, ending where the assistant's answer begins.

        Raises: WorkerError: no chat template, a template that refuses these messages, or far more than the context.
        """
        if not self._tokenizer.chat_template:
            raise invalid("messages", f"the model {self._model} has no chat template, so it cannot answer a chat")
        return self._encode(self._render(messages), add_special_tokens=False)

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text, with the special tokens that the tokenizer adds by itself."""
        return self._encode(text, add_special_tokens=True)

    def _render(self, messages: Sequence[Message]) -> str:
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError, OverflowError) as exc:
            raise invalid("messages", f"the chat template of {self._model} refuses them: {exc}") from exc
        if len(text) > MAX_RENDERED_CHARACTERS:
            raise invalid("messages", f"the chat template of {self._model} makes {len(text)} characters of them")
        return text

    def _encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        fewest = len(text) // (self._longest_token * SAFETY)
        if fewest > self._context_length:
            # Cutting megabytes into tokens only to refuse them would cost seconds.
            raise context_exceeded(f"more than {fewest}", self._context_length)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return ids


def context_exceeded(n_prompt: int | str, context_length: int) -> WorkerError:
    return WorkerError(
        WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED,
        f"the messages are {n_prompt} tokens long, and the model reads at most {context_length}, answer included",
        param="messages",
    )
