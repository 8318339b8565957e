"""Chat messages to token ids, by the tokenizer's own chat template.

The template comes with the model, so it runs in transformers' immutable sandbox. It knows no HTTP: messages arrive
checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpu_worker.errors import WorkerError, invalid
from gpu_worker.prompts.encoding import Encoding, Shield, TextEncoder
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
        self._encoder = TextEncoder(tokenizer)
        self._shield = Shield(tokenizer, self._encoder)

    def chat_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a chat, ending where the assistant's answer begins.

        Raises: WorkerError: no chat template, a template that refuses these messages, or more than the context.
        """
        if not self._tokenizer.chat_template:
            raise invalid("messages", f"the model {self._model} has no chat template, so it cannot answer a chat")
        self._refuse_hopeless(sum(len(message.content) for message in messages))
        texts, cover = self._shield.cover([message.content for message in messages])
        rendered = self._render([message.role for message in messages], texts)
        if cover is not None:
            return self._fitting(self._shield.encode(rendered, cover))
        encoding = self._encoder.encode(rendered, add_special_tokens=False)
        return self._fitting(encoding)

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text, with the special tokens that the tokenizer adds by itself.

        Raises: WorkerError (context_length_exceeded) for what is far beyond the context.
        """
        self._refuse_hopeless(len(text), field="prompt")
        return self._encoder.encode(text, add_special_tokens=True).ids

    def _render(self, roles: Sequence[str], texts: Sequence[str]) -> str:
        from jinja2 import TemplateError

        turns = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
        try:
            text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError, OverflowError) as exc:
            raise invalid("messages", f"the chat template of {self._model} refuses them: {exc}") from exc
        if len(text) > MAX_RENDERED_CHARACTERS:
            raise invalid("messages", f"the chat template of {self._model} makes {len(text)} characters of them")
        return text

    def _refuse_hopeless(self, n_characters: int, *, field: str = "messages") -> None:
        """Megabytes that cannot fit are not worth the seconds that it takes to cut them into tokens."""
        fewest = n_characters // (self._longest_token * SAFETY)
        if fewest > self._context_length:
            raise context_exceeded(f"more than {fewest}", self._context_length, field=field)

    def _fitting(self, encoding: "Encoding | list[int]") -> list[int]:
        if len(encoding) >= self._context_length:
            raise context_exceeded(len(encoding), self._context_length)
        return encoding if isinstance(encoding, list) else encoding.ids


def context_exceeded(n_prompt: int | str, context_length: int, *, field: str = "messages") -> WorkerError:
    subject = "the messages are" if field == "messages" else f"the {field} is"
    return WorkerError(
        WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED,
        f"{subject} {n_prompt} tokens long, and the model reads at most {context_length}, answer included",
        param=field,
    )
