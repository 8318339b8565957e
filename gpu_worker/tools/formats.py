"""How model families write tool calls, and which of them a model uses.

A format is data: `parser` reads it, `constraints` enforces it. It knows no tokens.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One way to write calls: objects with a name and arguments, between markers."""

    name: str
    opening: str
    """The marker before a call, or before a list of calls. Empty: there is none."""
    closing: str
    """The marker after a call. Empty: there is none."""
    arguments_key: str
    """Under which models of this family are taught to write the arguments."""
    is_list: bool = False
    """One opening marker stands before a JSON list of all calls."""
    is_bare: bool = False
    """A call may also begin the answer without a marker."""
    separator: str = "\n"
    """What a constrained answer has between two calls."""

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(marker for marker in (self.opening, self.closing) if marker)


HERMES = ToolFormat("hermes", "<tool_call>", "</tool_call>", "arguments")
"""Source: NousResearch, Hermes-Function-Calling; Qwen2.5 and Qwen3 chat templates."""

LLAMA3 = ToolFormat("llama3", "<|python_tag|>", "", "parameters", is_bare=True, separator="; ")
"""Source: Meta, Llama 3.1 prompt formats, "JSON based tool calling"; several calls as vLLM's llama3_json reads them."""

MISTRAL = ToolFormat("mistral", "[TOOL_CALLS]", "", "arguments", is_list=True, separator=", ")
"""Source: mistral-common, instruct tokenizers v3 to v7."""

PLAIN = ToolFormat("plain", "", "", "arguments", is_bare=True)
"""For a model whose own format is not known here: only a constrained answer is written so."""

FOREIGN = ("<function=", "<arg_key>", "<parameter", "[ARGS]", "[CALL_ID]")
"""Marks of formats that share a marker with one of ours but are written otherwise: Qwen3-Coder, GLM, Mistral v11."""


def format_of(template: str, tokens: Collection[str]) -> ToolFormat | None:
    """The format that a chat template teaches, judged by the markers in its text; None if it is none of ours.

    `tokens`: the vocabulary; Llama's template does not write the marker that its models do.
    """
    if any(mark in template for mark in FOREIGN):
        return None
    if HERMES.opening in template:
        return HERMES
    if MISTRAL.opening in template:
        return MISTRAL
    if LLAMA3.opening in tokens and '"parameters"' in template:
        return LLAMA3
    return None
