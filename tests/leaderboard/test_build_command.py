"""`manage.py leaderboard build FILE`: what it prints, where, and when it fails; and the example of docs/ratings.md."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.live import ROOT

RATINGS = (ROOT / "docs" / "ratings.md").read_text()


def build(path: Path, *arguments: str) -> tuple[str, str]:
    out, told = io.StringIO(), io.StringIO()
    call_command("leaderboard", "build", str(path), *arguments, stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


def block(title: str) -> str:
    """The code block of the documentation after a line that ends so."""
    found = re.search(rf"{re.escape(title)}\n\n```\w*\n(.*?)```", RATINGS, re.DOTALL)
    assert found, title
    return found[1]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "three.jsonl"
    path.write_text(block("`three.jsonl`:"))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_documented_example_prints_the_documented_table(example: Path) -> None:
    out, _ = build(example, "--intervals", "model")
    assert out == block("`manage.py leaderboard build three.jsonl --intervals model` prints:")


def test_the_example_is_right_by_hand(example: Path) -> None:
    """owl beat fox 3 to 1, fox beat ant 3 to 2 with ties as halves: with no loops the maximum is the observed odds."""
    board = json.loads(build(example, "--json")[0])
    points = {name: row["rating"] for name, row in board.items()}
    assert points["owl"] - points["fox"] == pytest.approx(190.848502, abs=1e-6)
    assert points["fox"] - points["ant"] == pytest.approx(70.436504, abs=1e-6)
    assert sum(points.values()) == pytest.approx(3000)


def test_json_has_five_fields_for_each_model_and_nothing_else_is_on_stdout(example: Path) -> None:
    out, told = build(example, "--json")
    board = json.loads(out)
    assert list(board) == ["owl", "fox", "ant"]
    assert all(list(row) == ["rating", "lower", "upper", "rank", "votes"] for row in board.values())
    assert "9 rows, 9 battles" in told


def test_the_same_rows_in_any_order_print_the_same_bytes(example: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.json"
    turned.write_text(json.dumps(rows_of(example)[::-1], indent=2))
    for arguments in (["--json"], ["--json", "--intervals", "clustered"], ["--json", "--ties", "davidson"]):
        assert build(example, *arguments)[0] == build(turned, *arguments)[0]


def test_a_wrong_row_is_told_and_counted_and_refused_with_strict(example: Path) -> None:
    example.write_text(example.read_text() + '{"model_a": "owl", "model_b": "owl", "winner": "tie"}\n')
    _, told = build(example)
    assert "line 10: model_b: is the same as model_a" in told
    assert "left out, bad_field: 1" in told
    with pytest.raises(CommandError, match="Line 10: model_b"):
        build(example, "--strict")


def test_nothing_to_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "battles.json"
    for text in ("", "[]", '[{"model_a": "owl", "model_b": "fox", "winner": "model_a"}]'):
        path.write_text(text)
        with pytest.raises(CommandError, match="There is no board"):
            build(path)
    with pytest.raises(CommandError, match="cannot be read"):
        build(tmp_path / "nothing.json")


def test_a_model_without_a_number_says_why_and_is_null_in_json(example: Path) -> None:
    example.write_text(example.read_text() + '{"model_a": "god", "model_b": "owl", "winner": "model_a"}\n')
    out, told = build(example)
    assert "never lost" in out
    assert "one of the two has none: 1" in told
    assert json.loads(build(example, "--json")[0])["god"] == {
        "rating": None, "lower": None, "upper": None, "rank": None, "votes": 1,
    }  # fmt: skip


def test_options_reach_the_board(example: Path) -> None:
    def rating(model: str, *arguments: str) -> float:
        found = json.loads(build(example, "--json", *arguments)[0])[model]["rating"]
        assert isinstance(found, float)
        return found

    assert rating("ant", "--anchor", "ant", "--base", "1114") == pytest.approx(1114)
    assert rating("ant", "--ties", "rao-kupper") != pytest.approx(rating("ant"))
    assert json.loads(build(example, "--json", "--min-battles", "6")[0])["owl"]["rank"] is None
    assert "ant" not in json.loads(build(example, "--json", "--exclude", "ant")[0])
    with pytest.raises(CommandError, match="'bat' is not among the rated models"):
        build(example, "--anchor", "bat")
