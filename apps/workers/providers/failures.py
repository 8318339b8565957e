"""What a provider's error means here: whose fault it is, whether it is tried elsewhere, and how long nobody asks again.

Its words reach whoever asked only when they are about the request. What it says about the site's own key does not: some
quote a part of it.

Source: OpenAI API reference, "Error codes"; Anthropic, "Errors" and "Rate limits"; RFC 9110, section 10.2.3.
"""

import json
import math
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from django.utils import timezone

from apps.core.texts import clean_text
from apps.workers.errors import (
    PromptTooLong,
    ProviderLoading,
    ProviderResting,
    RequestTooLarge,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerRefused,
)
from apps.workers.providers.redaction import without_key
from gpu_worker.protocol import WorkerErrorCode

Json = dict[str, Any]

REST_S = 10
"""After a refusal that does not say for how long."""
REST_WITHOUT_ACCESS_S = 60
"""After the key was refused, or the money is used up: somebody must mend it."""
MAX_REST_S = 3600
MAX_WORDS = 500
MAX_PARAM = 100

_NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_error", "enforced_spend_limit_reached"}
_NO_ACCESS = {"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated", "unauthorized"}
_NO_MODEL = {"model_not_found", "not_found_error"}
"""Also with 403, where the account may not use this one model."""
_TOO_LONG = ("context length", "context size", "context window", "prompt is too long", "too many tokens")
_TOO_LARGE = "request too large for"
"""Source: OpenAI and Groq, "Rate limits": 429 or 413 for one request with more tokens than a minute may have."""
_TOO_LONG_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_BUSY = {"overloaded_error", "server_busy"}
_LOADING = ("loading model", "currently loading")
"""Source: llama.cpp, `tools/server/server-http.cpp`, its 503; Hugging Face, "Inference API", its own."""

_STATUS_OF: tuple[tuple[int, set[str]], ...] = (
    (401, _NO_ACCESS),
    (402, _NO_MONEY),
    (403, {"permission_error", "permission_denied"}),
    (429, {"rate_limit_error", "rate_limit_exceeded", "rate_limited", "too_many_requests", "resource_exhausted"}),
    (503, _BUSY | {"unavailable", "slow_down"}),
    (404, _NO_MODEL | {"not_found"}),
    (413, {"request_too_large"}),
    (400, _TOO_LONG_CODES | {"invalid_request_error", "invalid_argument", "badrequesterror", "bad_request"}),
)
"""Which status an error without one would have had, by what it calls itself. The first that fits counts: OpenAI calls
a wrong key an invalid request too."""


def raise_for(status: int, content: bytes, headers: httpx.Headers, *, secret: str) -> None:
    """Raise what this refusal means. `secret` is cut out of all that is told."""
    if 300 <= status < 400:
        raise WorkerMismatch(reason="the provider redirects elsewhere, and its key goes to no other address")
    raise _meaning(status, _error_of(content), _retry_after_s(headers), secret)


def raise_in_stream(told: object, *, secret: str) -> None:
    """The same for an error that comes in a stream, where it has to say itself which status it would have had."""
    error = _as_error(told)
    raise _meaning(_status_of(error), error, None, secret)


def _status_of(error: Json) -> int:
    for name in ("code", "status", "status_code"):
        told = str(error.get(name))
        if re.fullmatch("[45][0-9][0-9]", told):
            return int(told)
    codes = _codes(error)
    return next((status for status, names in _STATUS_OF if codes & names), 500)


def _meaning(
    status: int, error: Json, wait_s: int | None, secret: str
) -> WorkerRefused | WorkerMismatch | WorkerOverloaded | WorkerInternal:
    words = _words(error, status, secret)
    if (refused := _of_the_request(status, error, words, secret)) is not None:
        return refused
    if (resting := _of_the_account(status, error, words, wait_s)) is not None:
        return resting
    codes = _codes(error)
    if status == 503 and any(mark in words.lower() for mark in _LOADING):
        return ProviderLoading(model="the model", retry_after_s=wait_s or 1)
    if status in {503, 529} or codes & _BUSY:
        return WorkerOverloaded(model="the model", retry_after_s=wait_s or 1)
    if status == 404 or codes & _NO_MODEL:
        return WorkerMismatch(reason=f"the provider has no such model or address: {words}")
    return WorkerMismatch(reason=words) if status < 500 and status != 408 else WorkerInternal(reason=words)


def _of_the_request(status: int, error: Json, words: str, secret: str) -> WorkerRefused | None:
    """What another provider would refuse too, and nobody rests for: else one person could keep all others out."""
    codes, said = _codes(error), words.lower()
    if codes & (_NO_MONEY | _NO_ACCESS | _NO_MODEL | _BUSY):
        return None
    if status in {413, 429} and _TOO_LARGE in said:
        # Its own words name the site's account.
        reason = "the provider takes no request of so many tokens at once"
        return RequestTooLarge(reason=reason, worker_code=str(WorkerErrorCode.REQUEST_TOO_LARGE))
    if status in {400, 413, 422} and (codes & _TOO_LONG_CODES or any(mark in said for mark in _TOO_LONG)):
        return PromptTooLong(reason=words, worker_code=str(WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED), param="messages")
    if status == 413:
        return RequestTooLarge(reason=words, worker_code=str(WorkerErrorCode.REQUEST_TOO_LARGE))
    if status in {400, 409, 422} or _is_flagged(error):
        code = str(WorkerErrorCode.INVALID_REQUEST)
        return WorkerRefused(reason=words, worker_code=code, param=_param(error, secret))
    return None


def _is_flagged(error: Json) -> bool:
    """Source: OpenRouter, "Errors", `ModerationErrorMetadata`: 403 for an input that a moderation flagged."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and "flagged_input" in metadata


def _of_the_account(status: int, error: Json, words: str, wait_s: int | None) -> ProviderResting | None:
    """What keeps all requests out for a while."""
    codes = _codes(error)
    if status == 402 or codes & _NO_MONEY:
        return _resting(wait_s or REST_WITHOUT_ACCESS_S, "the provider says that the site's account has no money left")
    # A 403 without words is a proxy's, which may judge a text; one of a model is for that alone.
    is_refused = status == 401 or (status == 403 and bool(error) and not codes & _NO_MODEL)
    if is_refused or codes & _NO_ACCESS:
        # Not in its own words, some of which quote a part of the key.
        reason = f"the provider does not accept the site's key (HTTP {status})"
        return _resting(wait_s or REST_WITHOUT_ACCESS_S, reason)
    if status == 429:
        return _resting(wait_s or REST_S, f"the provider's rate limit is reached: {words}")
    return None


def _resting(wait_s: int, reason: str) -> ProviderResting:
    return ProviderResting(model="the model", retry_after_s=wait_s, reason=reason)


def _param(error: Json, secret: str) -> str | None:
    param = error.get("param")
    return without_key(clean_text(param), secret)[:MAX_PARAM] if isinstance(param, str) else None


def _error_of(content: bytes) -> Json:
    try:
        return _as_error(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _as_error(told: object) -> Json:
    """The object with the message, wherever this server puts it: `error`, a list of one, `detail`, or bare."""
    if isinstance(told, list) and told:
        told = told[0]
    if isinstance(told, dict) and "error" in told:
        kind = told.get("error_type")
        told = told["error"]
        if isinstance(told, str):
            told = {"message": told, "type": kind}
    if isinstance(told, str):
        return {"message": told}
    return told if isinstance(told, dict) else {}


def _codes(error: Json) -> set[str]:
    """What it calls itself, in small letters; Google tells the reason among the details."""
    details = error.get("details")
    given = [error, *(details if isinstance(details, list) else ())]
    told = [one.get(name) for one in given if isinstance(one, dict) for name in ("code", "type", "status", "reason")]
    return {str(code).lower() for code in told if isinstance(code, str | int)}


def _words(error: Json, status: int, secret: str) -> str:
    told = error.get("message") or error.get("detail")
    if told is None:
        return f"HTTP {status} without an explanation"
    words = clean_text(told if isinstance(told, str) else json.dumps(told))
    return without_key(words, secret)[:MAX_WORDS]


def _retry_after_s(headers: httpx.Headers) -> int | None:
    """Seconds, at least one; None if it does not say or cannot be read."""
    told = headers.get("Retry-After", "").strip()
    try:
        if told.isascii() and told.replace(".", "", 1).isdigit():
            seconds = float(told)
        else:
            moment = parsedate_to_datetime(told)
            seconds = (moment - _now(moment)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return math.ceil(min(max(1.0, seconds), MAX_REST_S))


def _now(like: datetime) -> datetime:
    now = timezone.now()
    return now if like.tzinfo is not None else now.replace(tzinfo=None)
