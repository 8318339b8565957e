"""The decorator that describes a door for drf-spectacular, and the hook that keeps other doors out."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from apps.openai_api.schema.bodies import ERROR
from apps.openai_api.schema.fields import Json

F = TypeVar("F", bound=Callable[..., Any])

PREFIXES = ("/v1/", "/api/v1/")


def described(
    summary: str,
    *,
    name: str,
    response: Json,
    request: Json | None = None,
    is_streamed: bool = False,
    tag: str = "Models",
    path: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> Callable[[F], F]:
    """Describe a door's method. `path` and `query`: parameters of its address, each with its words."""
    replies: dict[Any, Any] = {200: OpenApiResponse(response, description="Done.")}
    if is_streamed:
        replies[200, "text/event-stream"] = OpenApiResponse(OpenApiTypes.STR, description="With `stream: true`.")
    for status, words in _ERRORS.items():
        replies[status] = OpenApiResponse(ERROR, description=words)
    decorate: Callable[[F], F] = extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        request=None if request is None else {content_type: request},
        responses=replies,
        auth=[{"key": []}],  # type: ignore[list-item]  # a raw requirement is taken too
        parameters=[
            OpenApiParameter(parameter, OpenApiTypes.STR, OpenApiParameter.PATH, description=words)
            for parameter, words in (path or {}).items()
        ]
        + [
            OpenApiParameter(parameter, OpenApiTypes.STR, OpenApiParameter.QUERY, description=words)
            for parameter, words in (query or {}).items()
        ],
    )
    return decorate


_ERRORS = {
    400: "A field is wrong, or known and not supported: `param` names it.",
    401: "The key is missing, unknown or revoked.",
    404: "There is no such thing, or it is not for this key.",
    413: "The body is too large.",
    429: "A limit is reached; `Retry-After` says when to come again.",
    503: "No worker can serve it now; `Retry-After` says when to come again.",
}


def only_the_api(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A preprocessing hook: what workers and pages call is not for programs of others."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIXES)]
