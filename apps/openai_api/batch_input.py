"""The lines of a batch's input, checked. Pure: it reads bytes and says what is wrong with which line.

What a model thinks of a body is found out when it is asked; a mistake there fails that line alone.

Source: OpenAI API reference, "The request input object".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from apps.core.texts import clean_text, json_texts, strict_json

Json = dict[str, Any]

RESPONSES = "/v1/responses"
MAX_REQUESTS = 50_000
MAX_ERRORS = 100
"""More mistakes than this are not looked for."""
MAX_LINE_BYTES = 8 * 1024 * 1024
"""Of one request in a batch, as of one request alone."""


class BadInput(Exception):
    """The file cannot be a batch. `errors` as OpenAI shows them."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(errors)
        self.errors = errors

    @classmethod
    def of(cls, code: str, message: str, line: int | None = None) -> Self:
        return cls([{"code": code, "message": message, "param": None, "line": line}])


class _BadLine(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(frozen=True, slots=True)
class InputLine:
    """One request. `number` is its line in the file, from 1."""

    number: int
    custom_id: str
    body: Json


def parsed_lines(chunks: Iterable[bytes], *, endpoint: str) -> Iterator[InputLine]:
    """Yield the requests while all is well; empty lines do not count.

    Raises: BadInput, at the end, with up to `MAX_ERRORS` mistakes; at once when there are too many of anything.
    """
    errors: list[Json] = []
    seen: set[str] = set()
    n_requests = 0
    for number, raw in _numbered(chunks):
        n_requests += 1
        if n_requests > MAX_REQUESTS:
            raise BadInput.of("too_many_requests", f"a batch holds at most {MAX_REQUESTS} requests", number)
        try:
            line = _parsed(raw, number, endpoint, seen)
        except _BadLine as exc:
            errors.append({"code": exc.code, "message": exc.message, "param": exc.param, "line": number})
            if len(errors) == MAX_ERRORS:
                break
            continue
        if not errors:
            yield line
    if errors:
        raise BadInput(errors)
    if not n_requests:
        raise BadInput.of("empty_file", "the file holds no requests")


def _numbered(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(_lines(chunks), 1):
        if len(raw) > MAX_LINE_BYTES:
            raise BadInput.of("line_too_long", f"the line is over {MAX_LINE_BYTES} bytes", number)
        if raw.strip():
            yield number, raw


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; of one that is too long, only as much as shows it."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield rest


def _parsed(raw: bytes, number: int, endpoint: str, seen: set[str]) -> InputLine:
    request = _object(raw)
    custom_id, body = request.get("custom_id"), request.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 512:
        raise _BadLine("invalid_custom_id", "'custom_id' must be a text of 1 to 512 characters", "custom_id")
    if custom_id in seen:
        raise _BadLine("duplicate_custom_id", f"'custom_id' {custom_id[:80]!r} was used before", "custom_id")
    seen.add(custom_id)
    if request.get("method") != "POST":
        raise _BadLine("invalid_method", "'method' must be 'POST'", "method")
    if request.get("url") != endpoint:
        raise _BadLine("mismatched_endpoint", f"'url' must be {endpoint!r}, the endpoint of the batch", "url")
    if not isinstance(body, dict):
        raise _BadLine("invalid_body", "'body' must be a JSON object", "body")
    if body.get("stream"):
        raise _BadLine("invalid_body", "an answer in a batch cannot be streamed", "body.stream")
    if endpoint == RESPONSES and body.get("background"):
        raise _BadLine("invalid_body", "all of a batch is answered in the background: leave it out", "body.background")
    return InputLine(number, custom_id, body)


def _object(raw: bytes) -> Json:
    try:
        request = strict_json(raw)
    except (ValueError, RecursionError) as exc:
        raise _BadLine("invalid_json_line", f"the line is not JSON: {exc}") from exc
    if not isinstance(request, dict):
        raise _BadLine("invalid_json_line", "the line must be a JSON object")
    if any(clean_text(text) != text for text in json_texts(request)):
        raise _BadLine("invalid_json_line", "a text holds a NUL or half of a surrogate pair, which is no character")
    return request
