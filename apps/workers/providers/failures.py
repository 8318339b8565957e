"""What a provider's error means here: whose fault it is, whether it is tried elsewhere, and how long nobody asks again.

Its words reach whoever asked only when they are about the request. What it says about the site's own key does not: some
quote a part of it.

Source: OpenAI API reference, "Error codes"; Anthropic, "Errors" and "Rate limits"; RFC 9110, section 10.2.3.
"""

import json
import math
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from django.utils import timezone

from apps.core.texts import clean_text
from apps.workers.errors import (
    PromptTooLong,
    ProviderResting,
    RequestTooLarge,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerRefused,
)
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
_TOO_LONG = ("context length", "context size", "context window", "prompt is too long", "too many tokens")
_TOO_LONG_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_BUSY = {"overloaded_error", "server_busy"}
_LIMITED = {"rate_limit_error", "rate_limit_exceeded"}


def raise_for(status: int, content: bytes, headers: httpx.Headers, *, secret: str) -> None:
    """Raise what this refusal means. `secret` is cut out of all that is told."""
    error = _error_of(content)
    codes = _codes(error)
    words = _words(error, status, secret)
    wait_s = _retry_after_s(headers)
    if 300 <= status < 400:
        raise WorkerMismatch(reason="the provider redirects elsewhere, and its key goes to no other address")
    if status in {401, 403} or status == 402 or codes & _NO_MONEY:
        problem = (
            "says that the site's account has no money left"
            if status == 402 or codes & _NO_MONEY
            else (f"does not accept the site's key (HTTP {status})")
        )
        raise ProviderResting(
            model="the model", retry_after_s=wait_s or REST_WITHOUT_ACCESS_S, reason=f"the provider {problem}"
        )
    if status == 429:
        reason = f"the provider's rate limit is reached: {words}"
        raise ProviderResting(model="the model", retry_after_s=wait_s or REST_S, reason=reason)
    raise _meaning(status, codes, words, error, wait_s)


def raise_in_stream(error: object, *, secret: str) -> None:
    """The same for an error that comes in a stream, where no status tells what it is."""
    found = _as_error(error)
    codes = _codes(found)
    words = _words(found, 500, secret)
    if codes & _LIMITED:
        raise ProviderResting(model="the model", retry_after_s=REST_S, reason=f"the provider's rate limit: {words}")
    status = found.get("code") if isinstance(found.get("code"), int) else 500
    is_request = any("invalid_request" in code for code in codes)
    raise _meaning(400 if is_request else int(status or 500), codes, words, found, None)


def _meaning(
    status: int, codes: set[str], words: str, error: Json, wait_s: int | None
) -> WorkerRefused | WorkerMismatch | WorkerOverloaded | WorkerInternal:
    if status in {400, 413, 422} and (codes & _TOO_LONG_CODES or any(mark in words.lower() for mark in _TOO_LONG)):
        return PromptTooLong(reason=words, worker_code=str(WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED), param="messages")
    if status == 413:
        return RequestTooLarge(reason=words, worker_code=str(WorkerErrorCode.REQUEST_TOO_LARGE))
    if status in {400, 409, 422}:
        param = error.get("param")
        return WorkerRefused(
            reason=words,
            worker_code=str(WorkerErrorCode.INVALID_REQUEST),
            param=clean_text(param)[:MAX_PARAM] if isinstance(param, str) else None,
        )
    if status in {503, 529} or codes & _BUSY:
        return WorkerOverloaded(model="the model", retry_after_s=wait_s or 1)
    if status == 404:
        return WorkerMismatch(reason=f"the provider has no such model or address: {words}")
    if status < 500 and status != 408:
        return WorkerMismatch(reason=words)
    return WorkerInternal(reason=words)


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
    return {str(code) for name in ("code", "type") if isinstance(code := error.get(name), str | int)}


def _words(error: Json, status: int, secret: str) -> str:
    told = error.get("message") or error.get("detail")
    if told is None:
        return f"HTTP {status} without an explanation"
    words = clean_text(told if isinstance(told, str) else json.dumps(told))
    return (words.replace(secret, "[key]") if secret else words)[:MAX_WORDS]


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
