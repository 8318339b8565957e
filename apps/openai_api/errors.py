"""The one translator from our errors to OpenAI's envelope.

Source: OpenAI API reference, "Error codes"; the same envelope for every failure, HTML never.
"""

import logging
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework.exceptions import APIException, MethodNotAllowed, ParseError, UnsupportedMediaType

from apps.accounts.errors import LimitExceeded
from apps.accounts.models import Metric, Period
from apps.core.errors import SiteError, Whose, http_status_of
from apps.core.middleware import request_id_var
from apps.core.parsers import TextNotEncodable
from apps.workers.errors import WorkerRefused

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2

_TYPES = {403: "permission_error", 409: "conflict_error", 429: "rate_limit_error"}

_CODES = {
    "accounts.key_invalid": "invalid_api_key",
    "arena.not_found": "arena_not_found",
    "arena.closed": "arena_closed",
    "arena.contestant_unknown": "contestant_not_found",
    "arena.battle_not_found": "not_found",
    "arena.not_ready": "battle_not_ready",
    "arena.nobody_sees": "no_opponents",
    "arena.too_long": "battle_too_long",
    "arena.followed": "battle_followed",
    "arena.not_revealed": "battle_not_revealed",
    "arena.changed": "battle_changed",
    "arena.choice_missing": "contestants_missing",
    "models.unknown": "model_not_found",
    "models.sees_nothing": "unsupported_model",
    "models.wrong_kind": "unsupported_model",
    "moderation.refused": "content_policy",
    "moderation.image_refused": "content_policy",
    "moderation.unavailable": "moderation_unavailable",
    "prompt.too_long": "context_length_exceeded",
    "workers.none": "no_worker",
    "workers.unreachable": "no_worker",
    "workers.timed_out": "worker_timeout",
    "workers.too_large": "request_too_large",
    "workers.loading": "model_loading",
    "workers.failed": "model_failed",
    "workers.overloaded": "overloaded",
    "workers.provider_loading": "model_loading",
    "workers.resting": "overloaded",
    "workers.died": "worker_died",
    "workers.internal": "worker_failed",
}


class NoModel(SiteError):
    """The site offers no model at all to whoever asks."""

    code = "api.no_model"
    http_status = 503
    retryable = True


class InvalidRequest(SiteError):
    """The request does not have OpenAI's shape; names the field."""

    code = "api.invalid_request"
    http_status = 400
    whose = Whose.USER

    def __init__(self, *, reason: str, param: str | None = None, api_code: str | None = None) -> None:
        super().__init__(reason=reason)
        self.param = param
        self.api_code = api_code


def unsupported(param: str, reason: str) -> InvalidRequest:
    """A field that is known and not done here."""
    return InvalidRequest(reason=f"{param!r}: {reason}", param=param, api_code="unsupported_parameter")


class FilesTooLarge(SiteError):
    """The owner's files together are over the limit."""

    code = "api.files_too_large"
    http_status = 400
    whose = Whose.USER


class BatchEnded(SiteError):
    """There is nothing left to cancel."""

    code = "api.batch_ended"
    http_status = 409
    whose = Whose.USER


class TooManyBatches(SiteError):
    """The owner has as many unfinished batches as may be."""

    code = "api.too_many_batches"
    http_status = 429
    retryable = True
    whose = Whose.USER


class PreviousResponseNotFound(SiteError):
    """The response that is to be continued, or one before it, is not there, or it is somebody else's."""

    code = "api.previous_response_not_found"
    http_status = 404
    whose = Whose.USER
    param = "previous_response_id"


class TooManyResponses(SiteError):
    """The owner has as many unended background responses as may be."""

    code = "api.too_many_responses"
    http_status = 429
    retryable = True
    whose = Whose.USER


class AnswerUnstorable(SiteError):
    """A model answered what the database does not take."""

    code = "api.answer_unstorable"
    http_status = 502
    whose = Whose.WORKER


class DatabaseAway(SiteError):
    """The database was restarted, or gave up, while it worked for this call."""

    code = "api.database_away"
    http_status = 503
    retryable = True


class UnknownPath(SiteError):
    """There is no such endpoint."""

    code = "api.unknown_endpoint"
    http_status = 404
    whose = Whose.USER


class UnsupportedEndpoint(SiteError):
    """OpenAI's API has this endpoint and this site has not. 404, because clients try a 501 again."""

    code = "api.unsupported_endpoint"
    http_status = 404
    whose = Whose.USER


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error as it leaves the API."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def api_error(exc: Exception) -> ApiError:
    """Translate any exception. What we did not foresee is logged with its trace and told without it."""
    match exc:
        case SiteError():
            return _site_error(exc)
        case TextNotEncodable():
            return _error(400, f"The body cannot be read: {exc.detail}.", code="invalid_value", param=exc.param)
        case ParseError():
            code = "invalid_multipart" if str(exc.detail).startswith("Multipart") else "invalid_json"
            return _error(400, f"The body cannot be read: {exc.detail}", code=code)
        case UnsupportedMediaType():
            message = "Send the body as 'application/json', files as 'multipart/form-data', and say so in Content-Type."
            return _error(400, message, code="unsupported_media_type")
        case MethodNotAllowed():
            return _error(405, str(exc.detail), code="method_not_allowed")
        case Http404():
            return _site_error(UnknownPath(path=""))
        case APIException():
            return _error(exc.status_code, str(exc.detail), code=None)
        case OperationalError() | InterfaceError():
            logger.warning("the database broke off in the API, request %s: %s", request_id_var.get(), exc)
            return _site_error(DatabaseAway())
    logger.error("unforeseen error in the API, request %s", request_id_var.get(), exc_info=exc)
    return _error(500, f"Something went wrong on our side (request {request_id_var.get()}).", code="internal_error")


def api_code(code: str) -> str:
    """What the API calls one of our errors."""
    return _CODES.get(code, code.rpartition(".")[2])


def failure_error(code: str, message: str) -> ApiError:
    """An error of which only this is kept, as of an answer that failed."""
    return _error(http_status_of(code), message, code=api_code(code))


def _site_error(exc: SiteError) -> ApiError:
    param = getattr(exc, "param", None)
    code = api_code(exc.code)
    if isinstance(exc, WorkerRefused) and exc.worker_code:
        code = exc.worker_code
    if isinstance(exc, InvalidRequest):
        code = exc.api_code or "invalid_value"
    if exc.code in {"models.unknown", "models.wrong_kind", "models.sees_nothing"}:
        param = "model"
    error = _error(exc.http_status, exc.message, code=code, param=param)
    if isinstance(exc, LimitExceeded):
        error = _limit_error(exc)
    retry_after_s = exc.details.get("retry_after_s", RETRY_AFTER_S)
    if exc.http_status in {429, 503} and retry_after_s is not None:
        error.headers["Retry-After"] = str(retry_after_s)
    return error


def _limit_error(exc: LimitExceeded) -> ApiError:
    """What comes back in a minute is a rate, what comes back tomorrow a quota, and money is money."""
    is_rate = exc.gauge.period in (Period.MINUTE, Period.AT_ONCE)
    quota_code = "insufficient_quota" if exc.gauge.metric is Metric.COST else "quota_exceeded"
    error = _error(429, exc.message, code="rate_limit_exceeded" if is_rate else quota_code)
    error.body["error"]["type"] = "rate_limit_error" if is_rate else "insufficient_quota"
    return error


def _error(status: int, message: str, *, code: str | None, param: str | None = None) -> ApiError:
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return ApiError(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, {})
