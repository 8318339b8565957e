"""Every message between the site and a GPU worker, version 1.

The one module both sides import, so it holds the standard library only. It describes shapes and checks them;
it does not send anything.

Two directions:

* worker -> site: a lease. The worker sends `PUT {site}/internal/workers/{worker_id}/lease` with a `LeaseRequest`
  when it starts and every `LEASE_RENEW_S` seconds, and `DELETE` on the same address when it leaves. The first time
  an enrolment token travels as `Authorization: Bearer`, and the `LeaseGrant` that the site answers with brings a
  `secret`; from then on that secret does. A token lets one worker enrol, once.
* site -> worker: OpenAI's HTTP wire format plus the generation extensions below. The site authenticates itself with
  the `access_token` of the lease as `Authorization: Bearer`: a worker's port is not open to strangers.

Generation extensions. A chat completion whose body carries `"generation_id": "<uuid>"` lives on its own: it goes on
when its reader leaves, and its events stay readable for `GENERATION_KEPT_S` after its end.

* `POST   /v1/chat/completions`                       starts it; with `stream: true` the reply is its event stream
* `GET    /v1/generations/{id}/events?after=N`        the events numbered above N, then live until the end
* `DELETE /v1/generations/{id}`                       cancels it within one decode step; its events end with a
                                                      chunk whose finish_reason is "cancelled"

Events are server-sent events. Each has an `id:` line, counting from 1 without gaps, and a `data:` line with an OpenAI
`chat.completion.chunk`, an `{"error": {...}}` object or `[DONE]`. The order is: one role chunk, content chunks, one
chunk with a finish_reason, one usage chunk (with empty `choices`; always sent when there is a generation_id, and then
all others say `"usage": null`), `[DONE]`. With `n` above 1 the chunks of all choices are interleaved, each with its
`index`, in this order for each; the usage chunk counts the prompt once and the tokens of all choices. With `logprobs`
a token's entry is in the chunk in which its text begins; tokens whose text is not shown are in the choice's last chunk
that has text or a finish_reason.
A failure ends the events with one error object instead; the text sent before it stays valid.
Comment lines (`: ...`) are heartbeats.
"""

import re
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

PROTOCOL_VERSION = 1

LEASE_RENEW_S = 15
LEASE_EXPIRES_S = 45
GENERATION_KEPT_S = 300
HEARTBEAT_S = 15

MAX_DEVICE_CHARS = 200
"""Of what a worker says about its device."""

MAX_CHOICES = 128
"""Of one request, prompts times choices for each. Source: OpenAI API reference, the maximum of `n`."""
MAX_INPUTS = 2048
"""Texts of one request for vectors. Source: OpenAI API reference, "Create embeddings", `input`."""

MAX_BODY_BYTES = 8 * 1024 * 1024
"""A larger request body is refused with 413 before it is read."""

MAX_IMAGES = 8
"""Of one request, in all its messages."""
MAX_IMAGE_BYTES = 5 * 1024 * 1024
"""Of one image as a file: in base64 it fits a body."""
MAX_IMAGE_PIXELS = 50_000_000
"""What a camera takes. A file of few bytes may stand for more than any memory holds."""

MAX_COUNT = 2**31 - 1
"""Of tokens and of slots; the site stores such numbers in 32 bits."""

Json = dict[str, Any]

_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


class ProtocolError(ValueError):
    """A message does not have the shape that this version of the protocol gives it."""


class ModelState(StrEnum):
    """Where a model is on a worker."""

    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


class ModelKind(StrEnum):
    """What a model does with text."""

    TEXT = "text"
    """It answers chats and completes texts."""
    EMBEDDING = "embedding"
    """It turns texts into vectors, and is of no use in a chat."""


class FinishReason(StrEnum):
    """Why a generation ended without an error. Source: OpenAI's reference, plus our own `cancelled`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CANCELLED = "cancelled"


class WorkerErrorCode(StrEnum):
    """The `code` of an error that a worker reports, in a reply or as the last event of a stream."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    REQUEST_TOO_LARGE = "request_too_large"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_LOADING = "model_loading"
    GENERATION_NOT_FOUND = "generation_not_found"
    GENERATION_EXISTS = "generation_exists"
    UNAUTHORISED = "unauthorised"
    OVERLOADED = "overloaded"
    OUT_OF_MEMORY = "out_of_memory"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal_error"


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model on a worker, as its lease reports it."""

    name: str
    state: ModelState
    context_length: int | None = None
    progress: float | None = None
    """Share of the weights that is loaded, 0 to 1, while `state` is loading."""
    error: str | None = None
    """Why the model could not be loaded, in one sentence without paths of the worker's machine."""
    n_parameters: int | None = None
    dtype: str | None = None
    revision: str | None = None
    kind: ModelKind = ModelKind.TEXT
    """Left out by workers that only know models of text."""
    base: str | None = None
    """Of an adapter: the name of the model whose weights it shares."""
    slots: int | None = None
    """How many requests it computes at once; more wait in the worker's own queue."""
    sees_images: bool = False
    """Its chats may have images."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a worker tells the site: that it is there, where, and how it is doing."""

    protocol: int
    base_url: str
    access_token: str
    """What the site must send back as a bearer token. New for each worker process."""
    device: str
    """For people, such as `cpu (2 threads)` or `cuda:0,1 NVIDIA H200`; `MAX_DEVICE_CHARS` at most."""
    speed: float
    """Relative speed for dispatch; 1.0 unless the operator says otherwise."""
    queue_length: int
    """Requests running and waiting, all models together."""
    version: str
    draining: bool = False
    """The worker has been told to stop: it finishes what it has and takes nothing new."""
    models: list[ModelReport] = field(default_factory=list)

    def to_json(self) -> Json:
        body = asdict(self)
        for model in body["models"]:
            for younger in ("base", "slots"):
                if model[younger] is None:
                    del model[younger]  # unknown to an older site
            if not model["sees_images"]:
                del model["sees_images"]
        return body

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Raises: ProtocolError, naming the field."""
        values = _object(body, "lease request")
        _require(values, cls, optional={"models", "draining"})
        if values["protocol"] != PROTOCOL_VERSION:
            raise ProtocolError(
                f"protocol {values['protocol']!r} is not spoken here, only {PROTOCOL_VERSION}: "
                "run the same release on both sides"
            )
        return cls(
            protocol=PROTOCOL_VERSION,
            base_url=_text(values, "base_url", 200),
            access_token=_text(values, "access_token", 200),
            device=_text(values, "device", MAX_DEVICE_CHARS),
            speed=_number(values, "speed", low=0.001, high=1_000_000),
            queue_length=int(_number(values, "queue_length", low=0, high=1_000_000)),
            version=_text(values, "version", 50),
            draining=_flag(values, "draining"),
            models=[_model_report(item) for item in _list(values, "models", 100)],
        )


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """The site's answer to a lease request."""

    expires_in_s: int
    renew_in_s: int
    drain: bool
    """An admin has put the worker out of dispatch; it goes on with what it has."""
    secret: str | None = field(default=None, repr=False)
    """What the worker shows from now on, in the answer to an enrolment only."""

    def to_json(self) -> Json:
        body = asdict(self)
        if self.secret is None:
            del body["secret"]
        return body

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Raises: ProtocolError, naming the field."""
        values = _object(body, "lease grant")
        _require(values, cls, optional={"secret"})
        return cls(
            expires_in_s=int(_number(values, "expires_in_s", low=1, high=3600)),
            renew_in_s=int(_number(values, "renew_in_s", low=1, high=3600)),
            drain=_flag(values, "drain"),
            secret=_optional_text(values, "secret", 200),
        )


def error_body(code: WorkerErrorCode, message: str, *, param: str | None = None) -> Json:
    """An error as the worker sends it: OpenAI's envelope. Source: OpenAI API reference, "Error codes"."""
    kind = (
        "server_error"
        if code
        in {
            WorkerErrorCode.INTERNAL,
            WorkerErrorCode.OUT_OF_MEMORY,
            WorkerErrorCode.OVERLOADED,
            WorkerErrorCode.MODEL_LOADING,
            WorkerErrorCode.SHUTTING_DOWN,
        }
        else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": param, "code": str(code)}}


def _model_report(item: object) -> ModelReport:
    values = _object(item, "model")
    _require(
        values,
        ModelReport,
        optional={f.name for f in fields(ModelReport)} - {"name", "state"},
    )
    try:
        state = ModelState(values["state"])
    except ValueError as exc:
        raise ProtocolError(f"model state {values['state']!r} is none of {[*map(str, ModelState)]}") from exc
    try:
        kind = ModelKind(values.get("kind", ModelKind.TEXT))
    except ValueError as exc:
        raise ProtocolError(f"model kind {values['kind']!r} is none of {[*map(str, ModelKind)]}") from exc
    return ModelReport(
        name=_text(values, "name", 200),
        state=state,
        context_length=_optional_int(values, "context_length"),
        progress=None if values.get("progress") is None else _number(values, "progress", low=0, high=1),
        error=_optional_text(values, "error", 2000),
        n_parameters=_optional_int(values, "n_parameters", 1e15),
        dtype=_optional_text(values, "dtype", 40),
        revision=_optional_text(values, "revision", 100),
        kind=kind,
        base=_optional_text(values, "base", 200),
        slots=_optional_int(values, "slots"),
        sees_images=_flag(values, "sees_images"),
    )


def _object(value: object, what: str) -> Json:
    if not isinstance(value, dict):
        raise ProtocolError(f"{what}: expected a JSON object, found {type(value).__name__}")
    return value


def _require(values: Json, shape: type, optional: set[str] | frozenset[str] = frozenset()) -> None:
    known = {f.name for f in fields(shape)}
    if missing := known - values.keys() - optional:
        raise ProtocolError(f"missing: {', '.join(sorted(missing))}")
    if unknown := values.keys() - known:
        raise ProtocolError(f"unknown: {', '.join(sorted(map(str, unknown)))}")


def _text(values: Json, key: str, longest: int) -> str:
    value = values[key]
    if not isinstance(value, str) or not value or len(value) > longest:
        raise ProtocolError(f"{key}: expected a text of 1 to {longest} characters")
    if _NO_CHARACTER.search(value):
        raise ProtocolError(f"{key}: a NUL or half of a surrogate pair is no character, and cannot be stored")
    return value


def _optional_text(values: Json, key: str, longest: int) -> str | None:
    return None if values.get(key) is None else _text(values, key, longest)


def _number(values: Json, key: str, *, low: float, high: float) -> float:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ProtocolError(f"{key}: expected a number from {low} to {high}, found {value!r}")
    return float(value)


def _optional_int(values: Json, key: str, high: float = MAX_COUNT) -> int | None:
    return None if values.get(key) is None else int(_number(values, key, low=0, high=high))


def _flag(values: Json, key: str) -> bool:
    value = values.get(key, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"{key}: expected true or false, found {value!r}")
    return value


def _list(values: Json, key: str, longest: int) -> list[object]:
    value = values.get(key, [])
    if not isinstance(value, list) or len(value) > longest:
        raise ProtocolError(f"{key}: expected a list of at most {longest}")
    return value
