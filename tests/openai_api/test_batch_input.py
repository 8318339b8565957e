"""The input of a batch is read line by line, and every mistake is told with its line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.openai_api import batch_input
from apps.openai_api.batch_input import RESPONSES, BadInput, InputLine, parsed_lines

ENDPOINT = "/v1/chat/completions"


def request(custom_id: Any = "a", **changes: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": {"model": "tiny"}} | changes


def written(*requests: Any) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in requests)


def read(content: bytes) -> list[InputLine]:
    return list(parsed_lines([content], endpoint=ENDPOINT))


def test_requests_are_numbered_by_their_lines_and_empty_lines_do_not_count() -> None:
    lines = read(written(request("a"), b"", request("b", body={"model": "x", "n": 2}), b" \r"))
    assert [(line.number, line.custom_id) for line in lines] == [(1, "a"), (3, "b")]
    assert lines[1].body == {"model": "x", "n": 2}


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1),
    data=st.data(),
)
def test_pieces_may_be_split_anywhere(texts: list[str], data: st.DataObject) -> None:
    requests = [request(str(index), body={"prompt": text}) for index, text in enumerate(texts)]
    content = "\n".join(json.dumps(one, ensure_ascii=False) for one in requests).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)), max_size=8)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert list(parsed_lines(pieces, endpoint=ENDPOINT)) == read(content)
    assert [line.body["prompt"] for line in read(content)] == texts


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[" * 100_000, "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b'{"custom_id": NaN}', "invalid_json_line", None),
        (b'{"custom_id": "a", "body": {"temperature": 1e400}}', "invalid_json_line", None),
        (b'{"custom_id": "a", "body": {"temperature": -1e400}}', "invalid_json_line", None),
        (b"\xff", "invalid_json_line", None),
        (b'{"custom_id": "a", "body": {"x": ["\\u0000"]}}', "invalid_json_line", None),
        (b'{"custom_id": "a", "body": {"\\ud800": 1}}', "invalid_json_line", None),
        (request(7), "invalid_custom_id", "custom_id"),
        (request(""), "invalid_custom_id", "custom_id"),
        (request("x" * 513), "invalid_custom_id", "custom_id"),
        (request("first"), "duplicate_custom_id", "custom_id"),
        (request(method="GET"), "invalid_method", "method"),
        (request(url="/v1/embeddings"), "mismatched_endpoint", "url"),
        (request(body="x"), "invalid_body", "body"),
        (request(body={"stream": True}), "invalid_body", "body.stream"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: Any, code: str, param: str | None) -> None:
    with pytest.raises(BadInput) as bad:
        read(written(request("first"), line))
    [error] = bad.value.errors
    assert (error["line"], error["code"], error["param"]) == (2, code, param)
    assert error["message"]


def test_a_response_in_a_batch_is_in_the_background_already() -> None:
    line = request(url=RESPONSES, body={"model": "tiny", "input": "Hi", "background": True})
    with pytest.raises(BadInput) as bad:
        list(parsed_lines([written(line)], endpoint=RESPONSES))
    [error] = bad.value.errors
    assert (error["code"], error["param"]) == ("invalid_body", "body.background")
    line["body"]["background"] = False
    assert [one.custom_id for one in parsed_lines([written(line)], endpoint=RESPONSES)] == ["a"]


def test_all_mistakes_are_told_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "MAX_ERRORS", 2)
    with pytest.raises(BadInput) as bad:
        read(written(b"1", request("fine"), b"2", b"3"))
    assert [error["line"] for error in bad.value.errors] == [1, 3]


def test_a_text_that_only_looks_like_an_escape_is_fine() -> None:
    [line] = read(written(request(body={"prompt": "\\u0000 \\ud800"})))
    assert line.body["prompt"] == "\\u0000 \\ud800"


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "MAX_REQUESTS", 2)
    monkeypatch.setattr(batch_input, "MAX_LINE_BYTES", 300)
    for content, code, line in [
        (written(*map(request, "abc")), "too_many_requests", 3),
        (written(request("a"), request("b", body={"prompt": "x" * 300})), "line_too_long", 2),
        (b"\n \n", "empty_file", None),
        (b"", "empty_file", None),
    ]:
        with pytest.raises(BadInput) as bad:
            list(parsed_lines([content[:100], content[100:]], endpoint=ENDPOINT))
        assert [(error["code"], error["line"]) for error in bad.value.errors] == [(code, line)]
