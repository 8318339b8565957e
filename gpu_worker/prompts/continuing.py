"""How a prompt ends: where an answer begins with thoughts, and where it goes on with what there is of it. Pure.

Source: DeepSeek-R1 and QwQ, whose chat templates end a prompt with `<think>`; vLLM, `continue_final_message`.
"""

from collections.abc import Sequence

from gpu_worker.errors import invalid
from gpu_worker.prompts.message import Message

THINK = "<think>"


def begins_with(prompt: str) -> str:
    """What a chat template has written of the answer already: nothing, or the mark that opens the model's thoughts."""
    return THINK + "\n" if prompt.rstrip().endswith(THINK) else ""


def split_partial(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """What was said, and the beginning of the answer to it. Raises: WorkerError: the last one is no such beginning."""
    *said, partial = messages
    if not said or partial.role != "assistant" or partial.tool_calls or not partial.content:
        raise invalid(
            "continue_final_message", "the last of several messages must be a text of the assistant to be gone on with"
        )
    return said, partial.content


def split_thoughts(partial: str) -> tuple[str, str]:
    """The mark that opens its thoughts, with the space before it, and the rest; no mark where it has no thoughts."""
    mark, found, rest = partial.partition(THINK)
    return (mark + found, rest) if found and not mark.strip() else ("", partial)


def joined(prompt: str, mark: str, partial: str) -> str:
    """A prompt that ends where the answer begins, and what there is of that answer, split by `split_thoughts`."""
    if not begins_with(prompt):
        return prompt + mark + partial
    if mark:
        return prompt.rstrip() + partial
    return f"{prompt.rstrip()}\n\n</think>\n\n{partial}"
