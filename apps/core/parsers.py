"""The parser of JSON bodies. It knows no shapes."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from apps.core.texts import is_encodable, json_texts, strict_json


class TextNotEncodable(ParseError):
    """A text holds half of a surrogate pair. `param`: the field of the body in which it is, if in one."""

    def __init__(self, param: str | None) -> None:
        super().__init__("a text holds half of a surrogate pair, which is no character")
        self.param = param


class BoundedJsonParser(JSONParser):
    """JSON that can be written again: as deep as the interpreter takes it, finite numbers, texts of characters."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            text = stream.read().decode(encoding)
            data: dict[str, Any] = strict_json(text)
        except RecursionError as exc:
            raise ParseError("it is nested too deep") from exc
        except (ValueError, LookupError) as exc:
            raise ParseError(f"JSON parse error - {exc}") from exc
        # Decoded bytes hold no halves; escapes may, and are rare enough to look at each text then.
        if "\\ud" in text.lower():
            _check_texts(data)
        return data


def _check_texts(data: object) -> None:
    for name, value in data.items() if isinstance(data, dict) else [("", data)]:
        if not is_encodable(name):
            raise TextNotEncodable(None)
        if not all(map(is_encodable, json_texts(value))):
            raise TextNotEncodable(name or None)
