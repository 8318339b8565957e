"""OpenAI's language as other servers speak it: what they are sent, and what is made of their answers. Pure.

Their dialects differ in small ways that clients must not see: usage in the last chunk or in every one, chunks that
carry nothing, names of their own for a model, fields of their own. What leaves here has the site's own form.

Source: OpenAI API reference, "Chat completions", "The chat completion chunk object", "Completions", "Embeddings",
"List models".
"""

import json
from typing import Any

from apps.workers.call import WorkerPath
from apps.workers.providers.choices import choice_of
from apps.workers.providers.contents import check_messages
from apps.workers.providers.kinds import Kind
from apps.workers.providers.options import invalid, refused, taken
from apps.workers.providers.reading import Misread, fields, items, whole_number
from apps.workers.providers.usage import usage_of
from apps.workers.target import Upstream

Json = dict[str, Any]

_ENVELOPE = {"id": str, "object": str, "created": int}


class ChatCompletions:
    """How one call of this kind of provider is asked and read. `model` is the name that the site gives the model."""

    def __init__(self, kind: Kind, path: WorkerPath, model: str) -> None:
        self._kind = kind
        self._path = path
        self._model = model

    @property
    def address(self) -> str:
        """Behind the base URL, which ends with the version."""
        return self._path.removeprefix("/v1")

    def body(self, wanted: Json, upstream: Upstream) -> Json:
        """Raises: WorkerRefused, naming the option that this kind does not take."""
        kind = self._kind
        if self._path not in kind.takes:
            raise refused("model", f"{kind.label}, which serves this model, has no {self._path}")
        wanted, longest = without_max_tokens(wanted, self._path)
        body = taken(wanted, kind.takes[self._path], kind.label)
        check_messages(body.get("messages"), kind.label)
        for ours, theirs in kind.renames.items():
            if ours in body:
                body[theirs] = body.pop(ours)
        if longest is not None:
            body[kind.max_tokens if self._path is WorkerPath.CHAT_COMPLETIONS else "max_tokens"] = longest
        body["model"] = upstream.model
        if self._path is not WorkerPath.EMBEDDINGS:
            body["stream"] = bool(wanted.get("stream"))
            if body["stream"] and kind.takes_stream_options:
                body["stream_options"] = {"include_usage": True}
        return body

    def reader(self) -> "ChunkReader":
        return ChunkReader(self._model)

    def whole(self, told: object) -> Json:
        """Raises: Misread."""
        answer = fields(told, "the answer")
        if self._path is WorkerPath.EMBEDDINGS:
            return {
                "object": "list",
                "data": [_vector(vector, i) for i, vector in enumerate(_needed(answer, "data"))],
                "model": self._model,
                "usage": usage_of(answer.get("usage")),
            }
        choices = _choices(_needed(answer, "choices"))
        if not all("message" in choice or "text" in choice for choice in choices):
            raise Misread("a choice has neither a message nor a text")
        return _envelope(answer) | {
            "model": self._model,
            "choices": choices,
            "usage": usage_of(answer.get("usage")),
        }


class ChunkReader:
    """The chunks of one stream, one after the other."""

    is_over = False
    """What ends it is `[DONE]`, which is no chunk."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._envelope: Json = {}
        self._usage: Json | None = None
        self._unfinished: set[int] = set()
        self._has_begun = False

    def read(self, told: object) -> list[Json]:
        """What to pass on of a chunk. Raises: Misread for what is none."""
        chunk = fields(told, "a chunk")
        self._usage = usage_of(chunk.get("usage")) or self._usage
        choices = _choices(chunk.get("choices"))
        self._envelope = _envelope(chunk) or self._envelope
        if not choices:
            return []  # the usage comes at the end; Azure's first chunk tells of filters
        for choice in choices:
            self._has_begun = True
            if choice.get("finish_reason"):
                self._unfinished.discard(choice["index"])
            else:
                self._unfinished.add(choice["index"])
        return [self._chunk(choices)]

    @property
    def is_finished(self) -> bool:
        """Each answer has told why it ended. Some servers close the stream then without another word."""
        return self._has_begun and not self._unfinished

    def end(self) -> list[Json]:
        """What comes after the last chunk."""
        return [] if self._usage is None else [self._chunk([]) | {"usage": self._usage}]

    def _chunk(self, choices: list[Json]) -> Json:
        return self._envelope | {"model": self._model, "choices": choices}


def without_max_tokens(wanted: Json, path: WorkerPath) -> tuple[Json, int | None]:
    """The request without the longest answer, and that; a chat's newer name counts more. Raises: WorkerRefused."""
    names = ["max_tokens"]
    if path is WorkerPath.CHAT_COMPLETIONS:
        names.insert(0, "max_completion_tokens")
    longest: int | None = None
    for name in names:
        value = wanted.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 0:
            raise invalid(name, "expected a whole number")
        longest = int(value) if longest is None else longest
    return {key: value for key, value in wanted.items() if key not in names}, longest


def is_list_of_models(content: bytes) -> bool:
    """Whether this is what `/models` answers: an object with a list. Some servers send the bare list."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(told.get("data", told.get("models")) if isinstance(told, dict) else told, list)


def _envelope(told: Json) -> Json:
    """What it says of itself, as far as it has the right form: clients compare ids and sort by times."""
    return {name: told[name] for name, form in _ENVELOPE.items() if type(told.get(name)) is form}


def _needed(answer: Json, name: str) -> list[Any]:
    if answer.get(name) is None:
        raise Misread(f"the answer has no {name}")
    return items(answer[name], name)


def _choices(told: object) -> list[Json]:
    return [choice_of(choice, i) for i, choice in enumerate(items(told, "choices"))]


def _vector(told: object, position: int) -> Json:
    vector = fields(told, f"data[{position}]")
    embedding = vector.get("embedding")
    is_numbers = isinstance(embedding, list) and all(isinstance(number, int | float) for number in embedding)
    if not is_numbers and not isinstance(embedding, str):
        raise Misread(f"data[{position}].embedding is neither numbers nor a text")
    index = whole_number(vector.get("index"), f"data[{position}].index", missing=position)
    return {"object": "embedding", "index": index, "embedding": embedding}
