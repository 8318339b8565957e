"""The chat template that a tokenizer brings: checked at loading, rendered in a process of its own."""

from collections.abc import Sequence
from typing import Any

from gpu_worker.prompts.message import Message
from gpu_worker.prompts.template_runner import TemplateFailed, TemplateRefused, TemplateRunner, special_tokens


class OwnTemplate:
    """The chat template of one tokenizer. Safe to use from several threads."""

    def __init__(self, tokenizer: Any) -> None:
        found = tokenizer.chat_template
        self._runner = TemplateRunner(
            found if isinstance(found, dict) else {"default": found}, special_tokens(tokenizer)
        )
        self._has_default = not isinstance(found, dict) or "default" in found

    def check(self) -> None:
        """Try it on a short chat. A refusal of these messages is no fault. Raises: TemplateFailed: anything else."""
        if not self._has_default:
            raise TemplateFailed("comes in several kinds, and none of them is the default")
        try:
            self.render([Message("user", "Hello")], add_generation_prompt=True)
        except TemplateRefused:
            return

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """Raises: TemplateFailed."""
        variables = {
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        return self._runner.render("default", variables)

    def close(self) -> None:
        """End its process."""
        self._runner.close()
