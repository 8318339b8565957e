"""Where the body of a request holds texts that a model reads, or that it is made to write. Pure; checks no shapes.

What is left out, and why, is said in docs/operations.md under "Moderation".
"""

import json
from collections.abc import Iterator
from typing import Any

from apps.core.texts import json_texts, strict_json
from apps.openai_api.shapes import Json

Place = tuple[Any, Any]
"""What a text is in, and under which name or number."""

_OF_A_MESSAGE = ("content", "output", "refusal", "reasoning_content", "reasoning", "summary")
_OF_A_PART = ("text", "refusal")
_TOOLS = ("tools", "functions")
_FORMATS = ("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs")


def places(body: Json) -> Iterator[Place]:
    """Of texts that may be changed. Whoever changes them goes through all places: the last ones are written back then.

    For chats, text completions and responses: `input` is what a response answers.
    """
    for name in ("messages", "input"):
        if isinstance(body.get(name), list):
            for message in body[name]:
                yield from _of_message(message)
    for name in ("prompt", "suffix", "input", "instructions"):
        yield from _texts(body, name)
    yield from _of_message(body.get("prediction"))
    for name in _TOOLS:
        yield from _descriptions(body.get(name))


def fixed(body: Json) -> Iterator[str]:
    """Texts out of which nothing can be taken: names, and what shall be followed to the letter."""
    for name in ("messages", "input"):
        for message in body[name] if isinstance(body.get(name), list) else ():
            yield from (joined for call in _calls(message) if (joined := "\n".join(_names(call))))
    for name in _TOOLS:
        for tool in body[name] if isinstance(body.get(name), list) else ():
            yield "\n".join(json_texts(_without_descriptions(tool)))
    for layout in _layouts(body):
        yield "\n".join(json_texts(layout))


def has_token_ids(body: Json) -> bool:
    """Whether a prompt is told by numbers, which only the model's own tokenizer can read."""
    prompt = body.get("prompt")
    return isinstance(prompt, list) and not all(isinstance(item, str) for item in prompt)


def _texts(fields: Json, name: str) -> Iterator[Place]:
    """A text, or the texts in a list."""
    value = fields.get(name)
    if isinstance(value, str):
        yield fields, name
    elif isinstance(value, list):
        yield from ((value, index) for index, text in enumerate(value) if isinstance(text, str))


def _of_message(message: object) -> Iterator[Place]:
    """Of a chat's message or a response's item; `output` is what a function returned."""
    if not isinstance(message, dict):
        return
    for name in _OF_A_MESSAGE:
        yield from _texts(message, name)
        for part in message[name] if isinstance(message.get(name), list) else ():
            if isinstance(part, dict):
                yield from ((part, name) for name in _OF_A_PART if isinstance(part.get(name), str))
    for call in _calls(message):
        yield from _of_arguments(call)


def _calls(message: object) -> Iterator[Json]:
    """What has a name in it, and maybe arguments: calls of functions, and itself, as a response's item may be one."""
    if not isinstance(message, dict):
        return
    calls = message.get("tool_calls")
    told = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    yield from (call for call in (*told, message.get("function_call"), message) if isinstance(call, dict))


def _of_arguments(call: Json) -> Iterator[Place]:
    """Arguments are JSON in a text: what is looked at are the texts in that, as the function would read them."""
    if not isinstance(call.get("arguments"), str):
        return
    try:
        said = [strict_json(call["arguments"])]
    except (ValueError, RecursionError):
        yield call, "arguments"
        return
    before = json.dumps(said)
    yield from _all_texts(said)
    if json.dumps(said) != before:
        call["arguments"] = json.dumps(said[0], ensure_ascii=False)


def _all_texts(value: Any) -> Iterator[Place]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, field in pairs:
        if isinstance(field, str):
            yield value, name
        else:
            yield from _all_texts(field)


def _descriptions(value: Any) -> Iterator[Place]:
    """Of functions and their parameters, however deep."""
    for container, name in _all_texts(value):
        if name == "description":
            yield container, name


def _without_descriptions(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: _without_descriptions(field)
                for name, field in value.items()
                if not (name == "description" and isinstance(field, str))
            }
        case list():
            return [_without_descriptions(item) for item in value]
    return value


def _layouts(body: Json) -> Iterator[Any]:
    """What the answer shall look like: schemas and the like, which say which words it may have."""
    text = body.get("text")
    for layout in (body.get("response_format"), text.get("format") if isinstance(text, dict) else None):
        if isinstance(layout, dict) and (schema := {name: layout[name] for name in layout if name != "type"}):
            yield schema
    yield from (body[name] for name in _FORMATS if body.get(name))


def _names(call: Json) -> Iterator[str]:
    """Of whoever speaks or of a function, and of its arguments."""
    if isinstance(call.get("name"), str):
        yield call["name"]
    if isinstance(call.get("arguments"), str):
        try:
            yield from _keys(strict_json(call["arguments"]))
        except ValueError:
            return  # then all of it is looked at as a text


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for field in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(field)
