"""The decorator that describes a door for drf-spectacular, and the hook that keeps other doors out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from apps.openai_api.schema.bodies import ERROR
from apps.openai_api.schema.fields import Json

F = TypeVar("F", bound=Callable[..., Any])

EVENTS: Json = {"description": "Server-sent events; see docs/api.md for what is in them."}
"""Without a type: OpenAPI 3.0 has no words for a stream, and programs differ in what they take a schema of one for."""

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
    query: Mapping[str, str | Json] | None = None,
    content_type: str = "application/json",
    response_type: str = "application/json",
    conflict: str | None = None,
) -> Callable[[F], F]:
    """Describe a door's method. `path` and `query`: parameters of its address, each with its words or its schema.

    `conflict`: when it answers 409.
    """
    replies: dict[Any, Any] = {(200, response_type): OpenApiResponse(response, description="Done.")}
    if is_streamed:
        replies[200, "text/event-stream"] = OpenApiResponse(EVENTS, description="With `stream: true`.")
    for status, words in (_ERRORS | ({409: conflict} if conflict else {})).items():
        replies[status] = OpenApiResponse(ERROR, description=words)
    decorate: Callable[[F], F] = extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        request=None if request is None else {content_type: request},
        responses=replies,
        auth=[{"key": []}],  # type: ignore[list-item]  # a raw requirement is taken too
        parameters=[
            *(_parameter(parameter, said, OpenApiParameter.PATH) for parameter, said in (path or {}).items()),
            *(_parameter(parameter, said, OpenApiParameter.QUERY) for parameter, said in (query or {}).items()),
        ],
    )
    return decorate


def _parameter(name: str, said: str | Json, where: Any) -> OpenApiParameter:
    if isinstance(said, str):
        return OpenApiParameter(name, OpenApiTypes.STR, where, description=said)
    return OpenApiParameter(name, said, where, description=said["description"])


_ERRORS = {
    400: "A field is wrong, or known and not supported: `param` names it.",
    401: "The key is missing, unknown or revoked.",
    403: "The key is for other things.",
    404: "There is no such thing, or it is not for this key.",
    413: "The body is too large.",
    429: "A limit is reached; `Retry-After` says when to come again.",
    500: "Something went wrong; tell an administrator the request id.",
    502: "The worker failed: ask again.",
    503: "No worker can serve it now; `Retry-After` says when to come again.",
    504: "Workers took it and did not begin to answer in time: ask again.",
}


def only_the_api(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A preprocessing hook: what workers and pages call is not for programs of others."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIXES)]


def with_required_bodies(result: Json, **_: object) -> Json:
    """A postprocessing hook: where there is a body, it must be sent. drf-spectacular says so of serializers only."""
    for path in result["paths"].values():
        for operation in path.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
    return result
