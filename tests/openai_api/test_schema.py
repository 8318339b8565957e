"""The API's description: complete, valid, honest, and shown by a page that loads nothing foreign."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.validation import validate_schema

from apps.openai_api import known_fields, urls
from apps.openai_api.schema import bodies


@pytest.fixture
def schema(client: Client) -> Any:
    reply = client.get("/api/schema?format=json")
    assert reply.status_code == 200
    return reply.json()


def test_the_schema_is_valid_and_has_every_door_of_the_api_and_no_other(schema: Any) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]
    doors = {re.sub(r"<path:|<uuid:|<str:|<", "{", f"/{p.pattern}").replace(">", "}") for p in urls.urlpatterns}
    api = {door for door in doors if door.startswith(("/v1/", "/api/v1/"))}
    assert set(schema["paths"]) == api
    assert len(get_resolver().url_patterns) > 1  # there are others, which are left out


def test_each_operation_has_words_a_key_and_the_error_envelope(schema: Any) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["security"] == [{"key": []}]
        error = operation["responses"]["401"]["content"]["application/json"]["schema"]
        assert error["properties"]["error"]["required"] == ["message", "type", "param", "code"]
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (bodies.CHAT_REQUEST, known_fields.CHAT),
        (bodies.COMPLETION_REQUEST, known_fields.COMPLETION),
        (bodies.EMBEDDING_REQUEST, known_fields.EMBEDDING),
        (bodies.TOKENIZE_REQUEST, known_fields.TOKENIZE),
    ],
)
def test_every_described_field_is_a_known_one(body: Any, known: frozenset[str]) -> None:
    assert set(body["properties"]) <= known


def test_the_page_loads_its_parts_from_here_and_has_no_inline_code(client: Client) -> None:
    page = client.get("/api/docs")
    html = page.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(sources) == 5
    assert all(source.startswith("/") for source in sources)
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", html) == []
    script = client.get(next(source for source in sources if "script" in source).replace("&amp;", "&"))
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema" in script.content.decode()
