"""How a model is made to call functions, and how its calls are read: decided once per chat. Pure."""

from dataclasses import dataclass

from gpu_worker.engine.constraint import Constraint
from gpu_worker.errors import invalid
from gpu_worker.server.tool_fields import ToolChoice, ToolUse
from gpu_worker.tools.constraints import may_call, must_call
from gpu_worker.tools.formats import PLAIN, ToolFormat
from gpu_worker.tools.parser import ToolCallParser


@dataclass(frozen=True, slots=True)
class Calling:
    """What the tools of one chat mean for its answers."""

    tool_format: ToolFormat
    names: frozenset[str]
    max_calls: int | None
    constraint: Constraint | None
    """None: the model writes what it likes, and what is a call is read as one."""

    def parser(self) -> ToolCallParser:
        return ToolCallParser(self.tool_format, self.names, max_calls=self.max_calls)


def calling_of(use: ToolUse, tool_format: ToolFormat | None) -> Calling:
    """`tool_format`: the one that the model is known to write.

    Raises: WorkerError: calls of an unknown format can be enforced, but not read where the model is free.
    """
    if use.choice is ToolChoice.AUTO and tool_format is None:
        raise invalid(
            "tool_choice",
            "how this model writes calls is not known here (Hermes and Qwen, Llama 3 and Mistral are), so they cannot "
            "be read out of its answers; with required, or a function by name, the worker makes it write them",
        )
    known = tool_format or PLAIN
    return Calling(
        tool_format=known,
        names=frozenset(function.name for function in use.callable),
        max_calls=1 if use.is_single else None,
        constraint=_constraint(use, known),
    )


def _constraint(use: ToolUse, tool_format: ToolFormat) -> Constraint | None:
    match use.choice:
        case ToolChoice.REQUIRED:
            return must_call(tool_format, use.callable, is_single=use.is_single)
        case ToolChoice.AUTO:
            is_strict = any(function.is_strict for function in use.functions)
            return may_call(tool_format, use.functions) if is_strict else None
