"""How a provider is asked for the rest of an answer, which our own workers do by the prompt itself. Pure.

Source: vLLM, "OpenAI-Compatible Server", and SGLang, "OpenAI APIs - Completions": `continue_final_message`.
"""

from typing import Any

from apps.workers.providers.kinds import Kind

Json = dict[str, Any]

FIELD = "continue_final_message"

GO_ON = "Go on with your answer exactly where it broke off. Repeat nothing of it, and say nothing about it."
"""Every model and every provider takes that, though none is bound by it."""

_OPEN, _CLOSE = "<think>", "</think>"


def asked_to_go_on(body: Json, kind: Kind) -> Json:
    """The body as this kind of provider understands it. One without the wish stays as it is.

    Thoughts without an end are none of the answer, and servers take them apart in ways of their own: then the question
    is asked again.
    """
    if not body.get(FIELD):
        return body
    rest = {name: value for name, value in body.items() if name != FIELD}
    *said, partial = body["messages"]
    if is_only_thoughts(partial["content"]):
        return rest | {"messages": said}
    if kind.continues:
        return body | {"add_generation_prompt": False}
    return rest | {"messages": [*body["messages"], {"role": "user", "content": GO_ON}]}


def is_only_thoughts(text: str) -> bool:
    """Whether an answer broke off before its thoughts were over."""
    return text.lstrip().startswith(_OPEN) and _CLOSE not in text
