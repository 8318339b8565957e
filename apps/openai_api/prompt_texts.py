"""Where the body of a request holds texts that a model reads, or that it is made to write. Pure; checks no shapes.

Where nobody expects any, `unknown_texts` looks.

What is left out, and why, is said in docs/operations.md under "Moderation".
"""

import json
from collections.abc import Iterator
from typing import Any

from apps.core.texts import strict_json
from apps.openai_api.shapes import Json

Place = tuple[Any, Any]
"""What a text or a number is in, and under which name or number."""

_OF_A_MESSAGE = ("content", "output", "refusal", "reasoning_content", "reasoning", "summary")
_OF_A_PART = ("text", "refusal")
_CALLED = ("function", "custom")
"""What a call in `tool_calls` may be of."""
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


def told_at(place: Place) -> str:
    """The text that stands there; a number as it is written."""
    container, name = place
    return _words(container[name])


def tell_at(place: Place, text: str) -> None:
    """Put another text there. What stays the same is not touched, so that a number stays one."""
    container, name = place
    if text != told_at(place):
        container[name] = text


def fixed(body: Json) -> Iterator[str]:
    """Texts out of which nothing can be taken: names, and what shall be followed to the letter."""
    for name in ("messages", "input"):
        for message in body[name] if isinstance(body.get(name), list) else ():
            yield from (joined for call in calls_of(message) if (joined := "\n".join(_names(call))))
    for name in _TOOLS:
        for tool in body[name] if isinstance(body.get(name), list) else ():
            yield "\n".join(_all_words(_without_descriptions(tool)))
    for layout in _layouts(body):
        yield "\n".join(_all_words(layout))


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
    for call in calls_of(message):
        yield from _of_arguments(call)


def calls_of(message: object) -> Iterator[Json]:
    """What has a name in it, and maybe arguments: calls of functions, and itself, as a response's item may be one."""
    if not isinstance(message, dict):
        return
    calls = message.get("tool_calls")
    dicts = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    told = [call.get(kind) for call in dicts for kind in _CALLED]
    yield from (call for call in (*told, message.get("function_call"), message) if isinstance(call, dict))


def _of_arguments(call: Json) -> Iterator[Place]:
    """Arguments are JSON in a text: what is looked at are the texts and numbers in that, as a function would read them.

    What a custom tool gets, its `input`, is any text.
    """
    if isinstance(call.get("input"), str):
        yield call, "input"
    if not isinstance(call.get("arguments"), str):
        return
    try:
        said = [strict_json(call["arguments"], names_once=True)]
    except (ValueError, RecursionError):
        yield call, "arguments"
        return
    before = json.dumps(said)
    yield from _all_places(said)
    if json.dumps(said) != before:
        call["arguments"] = json.dumps(said[0], ensure_ascii=False)


def _all_places(value: Any) -> Iterator[Place]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, field in pairs:
        if is_said(field):
            yield value, name
        else:
            yield from _all_places(field)


def _descriptions(value: Any) -> Iterator[Place]:
    """Of functions and their parameters, however deep."""
    for container, name in _all_places(value):
        if name == "description" and isinstance(container[name], str):
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
    if not isinstance(call.get("arguments"), str):
        return
    try:
        yield from _keys(strict_json(call["arguments"], names_once=True))
    except ValueError:
        # All of it is looked at as a text then. But a reader that is less strict finds more in it than stands there.
        yield from _all_words(_leniently(call["arguments"]))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for field in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(field)


def _leniently(raw: str) -> Any:
    """JSON with all values of a name that comes twice, as lists of pairs; None for what is no JSON at all."""
    try:
        return json.loads(raw, object_pairs_hook=list)
    except ValueError:
        return None


def _all_words(value: Any) -> Iterator[str]:
    """Every text, name and number in a JSON value, however deep, in no order."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as fields:
                yield from fields
                waiting.extend(fields.values())
            case list() | tuple() as items:
                waiting.extend(items)
            case one if is_said(one):
                yield _words(one)


def _words(said: str | int | float) -> str:
    return said if isinstance(said, str) else json.dumps(said)


def is_said(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
