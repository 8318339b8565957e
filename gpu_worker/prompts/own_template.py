"""The chat template that a tokenizer brings: checked at loading, rendered in a process of its own."""

from collections.abc import Sequence
from typing import Any

from gpu_worker.prompts.template_runner import TemplateFailed, TemplateRefused, TemplateRunner, special_tokens
from gpu_worker.protocol import Json

TOOL_USE = "tool_use"
"""The name that transformers gives to a template for chats with tools, where a tokenizer brings several."""


class OwnTemplate:
    """The chat template of one tokenizer. Safe to use from several threads."""

    def __init__(self, tokenizer: Any) -> None:
        found = tokenizer.chat_template
        self._runner = TemplateRunner(
            found if isinstance(found, dict) else {"default": found}, special_tokens(tokenizer)
        )
        texts = list(found.values()) if isinstance(found, dict) else [found]
        self.tool_text: str = found.get(TOOL_USE, texts[0]) if isinstance(found, dict) else found
        """The template that is used when there are tools."""
        self._kind_with_tools = TOOL_USE if isinstance(found, dict) and TOOL_USE in found else "default"
        self.knows_calls = any("tool_calls" in text for text in texts)
        """Whether it can render the calls of earlier turns."""
        self._has_default = not isinstance(found, dict) or "default" in found

    def check(self) -> None:
        """Try it on a short chat. A refusal of these messages is no fault. Raises: TemplateFailed: anything else."""
        if not self._has_default:
            raise TemplateFailed("comes in several kinds, and none of them is the default")
        try:
            self.render([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
        except TemplateRefused:
            return

    def render(self, turns: Sequence[Json], *, add_generation_prompt: bool, tools: Sequence[Json] | None = None) -> str:
        """Raises: TemplateFailed."""
        variables = {
            "messages": list(turns),
            "tools": None if tools is None else list(tools),
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        return self._runner.render("default" if tools is None else self._kind_with_tools, variables)

    def close(self) -> None:
        """End its process."""
        self._runner.close()
