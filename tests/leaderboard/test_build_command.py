"""`manage.py leaderboard build FILE`: what it prints, where, and when it fails; and the example of docs/ratings.md."""

import io
import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.live import ROOT

RATINGS = (ROOT / "docs" / "ratings.md").read_text()


def build(path: Path, *arguments: str) -> tuple[str, str]:
    """With ranks also for models of few battles, as the examples are."""
    out, told = io.StringIO(), io.StringIO()
    call_command("leaderboard", "build", str(path), "--min-battles", "1", *arguments, stdout=out, stderr=told)
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
    assert out == block("`manage.py leaderboard build three.jsonl --intervals model --min-battles 1` prints:")


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
    assert json.loads(build(example, "--json", "--min-battles", "5")[0])["owl"]["rank"] is None
    assert "ant" not in json.loads(build(example, "--json", "--exclude", "ant")[0])
    with pytest.raises(CommandError, match="'bat' is not among the rated models"):
        build(example, "--anchor", "bat")


@pytest.mark.parametrize("arguments", [["--base", "nan"], ["--base", "inf"], ["--min-battles", "0"]])
def test_numbers_that_spoil_a_board_are_refused(example: Path, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="must be"):
        build(example, *arguments)


def test_a_model_needs_ten_battles_unless_told_otherwise(example: Path) -> None:
    with pytest.raises(CommandError, match="no two models with 10 battles"):
        call_command("leaderboard", "build", str(example))


def test_a_name_does_not_move_the_cursor(example: Path) -> None:
    example.write_text(example.read_text().replace('"ant"', '"a\\u001b[2Jnt"'))
    assert "a\\x1b[2Jnt" in build(example)[0]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Sixty battles of three; sly casts ten for owl that nobody else would."""
    random = Random(7)
    rows = []
    for n in range(60):
        a, b = random.sample(["ant", "fox", "owl"], 2)
        winner = random.choice(["model_a", "model_b", "tie"])
        rows.append({"model_a": a, "model_b": b, "winner": winner, "judge": f"judge-{n % 20}", "tstamp": 1.7e9 + n})
    for n in range(10):
        rows.append({"model_a": "owl", "model_b": "ant", "winner": "model_a", "judge": "sly", "tstamp": 1.8e9 + n})
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_resampled_bounds_and_online_elo_are_printed_when_asked_for(many: Path) -> None:
    board = json.loads(build(many, "--json", "--bootstrap", "100", "--elo")[0])
    assert board["owl"]["elo"] > 1000 > board["ant"]["elo"]
    assert board["owl"]["elo_median"] > board["ant"]["elo_median"]
    for row in board.values():
        width = row["bootstrap_upper"] - row["bootstrap_lower"]
        assert width == pytest.approx(row["upper"] - row["lower"], rel=0.35)
    head = build(many, "--bootstrap", "100", "--seed", "5", "--elo")[0].splitlines()[0].split()
    assert head[-7:] == ["bootstrap", "lower", "bootstrap", "upper", "elo", "elo", "median"]
    seeds = [build(many, "--json", "--bootstrap", "100", "--seed", seed)[0] for seed in ("5", "6", "5")]
    assert seeds[0] == seeds[2] != seeds[1]


def test_the_voter_who_moves_the_board_most_is_named_when_asked_for(many: Path) -> None:
    told = build(many, "--influence")[1]
    first = next(line for line in told.splitlines() if line.startswith("without"))
    assert first.startswith("without 'sly' (10 votes)")
    assert "'sly'" not in build(many)[1]


def test_online_elo_of_rows_without_times_is_refused(example: Path) -> None:
    with pytest.raises(CommandError, match="without a tstamp"):
        build(example, "--elo")
