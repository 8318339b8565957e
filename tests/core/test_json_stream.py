"""JSON arrays and lines are read row by row, with the same rows whatever the pieces, and no row is lost unseen."""

import io
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.json_stream import Broken, FileCut, Row, stream_values


def rows_of(text: str, *, row_max_chars: int = 100_000, chunk_chars: int = 200_000) -> list[Row]:
    return list(stream_values(io.StringIO(text), row_max_chars=row_max_chars, chunk_chars=chunk_chars))


def values(text: str, **sizes: int) -> list[Any]:
    return [row.value for row in rows_of(text, **sizes)]


def row(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "question_id": f"{number:032x}",
        "model_a": "owl",
        "model_b": "fox",
        "winner": "model_a",
        "turn": 1,
    } | fields


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=6), st.sampled_from([None, 0, 2]))
def test_an_array_streamed_is_the_array_loaded(rows: list[dict[str, Any]], indent: int | None) -> None:
    assert values(json.dumps(rows, indent=indent, ensure_ascii=False)) == rows


def test_rows_across_the_borders_of_chunks_are_whole() -> None:
    rows = [row(i, model_a="Ünïcode 模型") for i in range(40)]
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\n".join(map(json.dumps, rows))):
        assert values(text, row_max_chars=300, chunk_chars=7) == rows


@pytest.mark.parametrize("indent", [None, 2])
def test_a_broken_row_is_given_with_its_line_and_reading_goes_on(indent: int | None) -> None:
    lines = [json.dumps(row(i), indent=indent) for i in range(4)]
    lines[1] = lines[1].replace('"winner":', '"winner"')
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    found = rows_of(text)
    assert [isinstance(value, Broken) for _, value, _ in found] == [False, True, False, False]
    assert found[1][0] == 2 + lines[0].count("\n") + 1
    assert [value["question_id"][-1] for _, value, _ in found if not isinstance(value, Broken)] == ["0", "2", "3"]


def test_resuming_does_not_depend_on_where_chunks_end() -> None:
    text = '[\n{"a": 1},\n{"a": nope, "b": "' + "x" * 25 + '"},\n{"a": 3},\n{"a": }\n]'
    for size in range(1, 60):
        kinds = [
            "broken" if isinstance(value, Broken) else value
            for value in values(text, row_max_chars=40, chunk_chars=size)
        ]
        assert kinds == [{"a": 1}, "broken", {"a": 3}, "broken"], size


def test_the_last_line_of_json_lines_may_be_broken_if_it_is_whole() -> None:
    found = values(json.dumps(row(0)) + '\n{"model_a": nope}\n')
    assert [isinstance(value, Broken) for value in found] == [False, True]
    with pytest.raises(FileCut):
        values(json.dumps(row(0)) + '\n{"model_a": "ow')


def test_a_row_that_is_too_long_is_that_wherever_chunks_end() -> None:
    rows = [row(0), row(1, language="x" * 300), row(2)]
    for size in range(50, 900, 13):
        found = values("\n".join(map(json.dumps, rows)) + "\n", row_max_chars=400, chunk_chars=size)
        assert found == [rows[0], Broken("longer than 400 characters"), rows[2]], size


def test_numbers_that_are_none_and_depths_without_end_are_broken() -> None:
    assert isinstance(values('{"tstamp": NaN}\n')[0], Broken)
    assert isinstance(values('{"tstamp": 1e400}\n')[0], Broken)
    assert isinstance(values("[\n" + "[" * 100_000 + "\n]")[0], Broken)


def test_a_number_that_goes_on_behind_the_end_of_a_chunk_is_read_whole() -> None:
    for size in range(1, 12):
        assert values("[12345, 678]", row_max_chars=50, chunk_chars=size) == [12345, 678], size


def test_memory_is_that_of_a_chunk_and_not_of_the_longest_row_that_may_come(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row(i)) for i in range(20_000)))
    tracemalloc.start()
    try:
        with path.open() as file:
            n_rows = sum(1 for _ in stream_values(file, row_max_chars=10_000_000, chunk_chars=10_000))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_rows == 20_000
    assert peak_bytes < 200_000


class Blanks(io.StringIO):
    """A text behind a million blanks and the end of their line, which are not in memory at once."""

    n_left = 1_000

    def read(self, size: int | None = -1) -> str:
        if not self.n_left:
            return super().read(size)
        self.n_left -= 1
        return " " * 1_000 + "\n" * (not self.n_left)


def test_blanks_without_end_before_the_first_row_take_neither_time_nor_memory() -> None:
    file = Blanks('  {"a": 1}\n  {nope\n  {"a": 2}\n')
    tracemalloc.start()
    try:
        began = time.process_time()
        found = [row.value for row in stream_values(file, row_max_chars=2_000)]
        taken_s = time.process_time() - began
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [found[0], type(found[1]), found[2]] == [{"a": 1}, Broken, {"a": 2}]
    assert peak_bytes < 200_000
    assert taken_s < 10  # to look for the indent from every blank would take half an hour
