"""The texts of requests on their way through the gate (`apps.moderation`): found in a body, put back as they passed."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from apps.accounts.actors import Actor
from apps.moderation import gate
from apps.moderation.answers import AnswerGate
from apps.moderation.choices import Surface
from apps.openai_api.responses.request import ResponseRequest
from apps.openai_api.shapes import Json
from apps.workers.call import Call


async def call_pass(call: Call) -> Call:
    """The call with its messages or prompt as they may go on. Raises: TextRefused."""
    body = await body_pass(call.body, call.actor)
    return call if body is call.body else replace(call, body=body)


def answer_gate(actor: Actor, *, records: Callable[[], bool] = lambda: True) -> AnswerGate:
    """For what a model answers to a program."""
    return AnswerGate(surface=Surface.API, actor=actor, records=records)


async def response_pass(wanted: ResponseRequest, actor: Actor) -> ResponseRequest:
    """As `call_pass`, for a response's items and instructions. What it continues has passed before."""
    body: Json = {"messages": wanted.items, "prompt": wanted.repeated["instructions"]}
    passed = await body_pass(body, actor)
    if passed is body:
        return wanted
    return replace(wanted, items=passed["messages"], repeated=wanted.repeated | {"instructions": passed["prompt"]})


async def body_pass(body: Json, actor: Actor) -> Json:
    texts = [container[key] for container, key in _places(body)]
    passed = await gate.texts_pass(texts, surface=Surface.API, actor=actor)
    if passed == texts:
        return body
    changed: Json = deepcopy({name: body[name] for name in ("messages", "prompt") if name in body})
    for (container, key), text in zip(_places(changed), passed, strict=True):
        container[key] = text
    return body | changed


def _places(body: Json) -> Iterator[tuple[Any, Any]]:
    """Where its texts are: what they are in, and under which name or number. Shapes are checked by others."""
    messages, prompt = body.get("messages"), body.get("prompt")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield from _places_of_message(message)
    if isinstance(prompt, str):
        yield body, "prompt"
    elif isinstance(prompt, list):
        yield from ((prompt, index) for index, text in enumerate(prompt) if isinstance(text, str))


def _places_of_message(message: Json) -> Iterator[tuple[Any, Any]]:
    """Of a chat's message or a response's item; `output` is what a function returned."""
    for name in ("content", "output"):
        if isinstance(message.get(name), str):
            yield message, name
    parts = message.get("content")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            yield from ((part, name) for name in ("text", "refusal") if isinstance(part.get(name), str))
