"""Anthropic's language: how one call is asked and read. The translation is in `messages_request` and `messages_answer`.

Source: Anthropic, "Messages API" and "Versioning".
"""

from typing import Any

from apps.workers.call import WorkerPath
from apps.workers.providers import messages_answer, messages_request
from apps.workers.providers.chat_completions import without_max_tokens
from apps.workers.providers.kinds import Kind
from apps.workers.providers.options import refused, taken
from apps.workers.target import Upstream

Json = dict[str, Any]

API_VERSION = "2023-06-01"

DEFAULT_MAX_TOKENS = 4096
"""For a chat that names no longest answer, which this API demands, and of whose model no admin has said it: each may
write as much. An answer that ends there says `length`."""


class Messages:
    """One call. `model` is the name that the site gives the model."""

    address = "/messages"

    def __init__(self, kind: Kind, path: WorkerPath, model: str) -> None:
        self._kind = kind
        self._path = path
        self._model = model

    def body(self, wanted: Json, upstream: Upstream) -> Json:
        """Raises: WorkerRefused, naming the option that cannot be honoured."""
        if self._path is not WorkerPath.CHAT_COMPLETIONS:
            raise refused("model", f"{self._kind.label}, which serves this model, has no {self._path}")
        wanted, longest = without_max_tokens(wanted, self._path)
        options = taken(wanted, self._kind.takes[self._path], self._kind.label)
        body = messages_request.body_of(options)
        body |= {"model": upstream.model, "max_tokens": longest or upstream.longest_answer or DEFAULT_MAX_TOKENS}
        return body | {"stream": bool(wanted.get("stream"))}

    def reader(self) -> messages_answer.EventReader:
        return messages_answer.EventReader(self._model)

    def whole(self, told: object) -> Json:
        """Raises: Misread, KeyError for what is no answer."""
        return messages_answer.whole(told, self._model)
